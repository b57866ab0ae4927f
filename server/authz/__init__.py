"""May they: administrators without a look at any rule, agents by what runs on their node, then
RBAC. The order is in server/app.py; the policy every cluster starts with is data in here.
"""
