"""Reads SAM templates as the tools do, many in one process, since each start of a tool takes seconds.

Standard input has one JSON object: {"translate": {name: text}, "lint": {name: text}}. Standard output gets one: for each name under
"translate" either {"template": …, "translated": …} or {"fault": …}, and for each name under "lint" the list of what cfn-lint says.
Parameters have their defaults; those that have none are given as in PARAMETERS.
"""

import copy
import json
import logging
import sys

PARAMETERS = {"JwtIssuer": "https://issuer.example", "JwtAudience": "tracking-api"}


class NoPolicies:
    """Managed policies would be asked of IAM; the template uses none."""

    def load(self):
        return {}


def translate(text):
    from samcli.commands.validate.lib.exceptions import InvalidSamDocumentException
    from samcli.lib.translate import sam_template_validator
    from samcli.yamlhelper import yaml_parse

    # The translation is wanted as it is, not as YAML to be parsed again: that takes most of the time.
    sam_template_validator.yaml_dump = lambda translated: translated
    try:
        template = yaml_parse(text)
        validator = sam_template_validator.SamTemplateValidator(
            copy.deepcopy(template), NoPolicies(), region="eu-central-1", parameter_overrides=PARAMETERS
        )
        return {"template": template, "translated": validator.get_translated_template_if_valid()}
    except InvalidSamDocumentException as fault:
        return {"fault": str(fault)}


def lint(text):
    from cfnlint.api import lint_all

    # What begins with I is advice.
    matches = (match for match in lint_all(text) if match.rule.id[0] in "EW")
    return [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in matches]


def main():
    logging.disable(logging.ERROR)
    wanted = json.load(sys.stdin)
    results = {
        "translate": {name: translate(text) for name, text in wanted.get("translate", {}).items()},
        "lint": {name: lint(text) for name, text in wanted.get("lint", {}).items()},
    }
    json.dump(results, sys.stdout, default=str)


main()
