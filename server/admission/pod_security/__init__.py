"""PodSecurity: pods keep to the Pod Security Standard that their namespace's labels name.

``plugin`` is the admission plugin, ``policy`` reads the labels, ``checks`` lists the rules in
order, ``baseline`` and ``restricted`` are the rules.
"""
