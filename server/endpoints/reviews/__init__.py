"""Reviews: kinds that ask the server a question and are answered, never stored.

``review_verbs`` is the table of their verbs, by (group, plural).
"""

from collections.abc import Mapping

from server.authn.authenticator import TokenAuthenticator
from server.authz.authorizer import Authorizer, RuleResolver
from server.endpoints.reviews.access import local_access_review, review_access, review_own_access
from server.endpoints.reviews.identity import review_self, review_token
from server.endpoints.reviews.rules import review_own_rules
from server.endpoints.route import Verb

_AUTHORIZATION = "authorization.k8s.io"
_AUTHENTICATION = "authentication.k8s.io"


def review_verbs(
    *, authorizer: Authorizer, rules: RuleResolver, tokens: TokenAuthenticator
) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    return {
        (_AUTHORIZATION, "subjectaccessreviews"): {"create": review_access(authorizer)},
        (_AUTHORIZATION, "selfsubjectaccessreviews"): {"create": review_own_access(authorizer)},
        (_AUTHORIZATION, "localsubjectaccessreviews"): {"create": local_access_review(authorizer)},
        (_AUTHORIZATION, "selfsubjectrulesreviews"): {"create": review_own_rules(rules)},
        (_AUTHENTICATION, "tokenreviews"): {"create": review_token(tokens)},
        (_AUTHENTICATION, "selfsubjectreviews"): {"create": review_self},
    }
