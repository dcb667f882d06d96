"""python promql.py FILE: what each PromQL expression of FILE (a JSON list) speaks of, as a JSON list in the same order.

Each is `{"error": TEXT}`, or
`selectors`  the metrics that are selected, each with its matchers: `{"name": NAME, "matchers": [[LABEL, OPERATOR, VALUE], ...]}`
`grouping`   labels in by, on and group_left
"""

import json
import sys

import promql_parser as promql

# What the parser makes of an operator can be compared, but not hashed.
OPERATORS = [
    (promql.MatchOp.Equal, "="),
    (promql.MatchOp.NotEqual, "!="),
    (promql.MatchOp.Re, "=~"),
    (promql.MatchOp.NotRe, "!~"),
]


def selector(found):
    written = lambda op: next(text for known, text in OPERATORS if known == op)
    matchers = [[m.name, written(m.op), m.value] for m in found.matchers.matchers]
    return {"name": found.name, "matchers": matchers}


def described(text):
    try:
        expression = promql.parse(text)
    except ValueError as error:
        return {"error": str(error)}
    selectors, grouping = [], set()

    def visit(node):
        if isinstance(node, promql.VectorSelector):
            selectors.append(selector(node))
        elif isinstance(node, promql.AggregateExpr) and node.modifier:
            grouping.update(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and node.modifier:
            if node.modifier.matching:
                grouping.update(node.modifier.matching.labels)
            grouping.update(node.modifier.group_labels or [])

    promql.walk(expression, visit)
    return {"selectors": selectors, "grouping": sorted(grouping)}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        print(json.dumps([described(text) for text in json.load(file)]))


main()
