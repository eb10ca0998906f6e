"""Grants with one word less: each of them must be too little."""

from typing import Any


def smaller(objects: list[Any]) -> list[list[Any]]:
    """The objects with one word less, every word in turn."""
    found = []
    for index, tree in enumerate(objects):
        for number, rule in enumerate(tree.get("rules", ())):
            for key, values in rule.items():
                for value in values:
                    left = [each for each in values if each != value]
                    rest = [{**rule, key: left}] if left else []
                    changed = {
                        **tree,
                        "rules": [*tree["rules"][:number], *rest, *tree["rules"][number + 1 :]],
                    }
                    found.append([*objects[:index], changed, *objects[index + 1 :]])
    return found
