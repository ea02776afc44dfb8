"""Directives that read the command line's own parser, so that no option is written down twice.

``{command-options} activations`` says what one command does and takes, each option with an anchor;
``{command-list}`` lists all commands, each with a link to its page.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from seviz.cli import app

_SECTION = re.compile(r"^## seviz (?P<name>[a-z]+)$", re.MULTILINE)
_GROUP = re.compile(r"\*\*(?P<name>.+)\*\*:")
_USAGE = re.compile(
    r"^(seviz [a-z]+) .*?(?=\[OPTIONS\])", re.MULTILINE
)  # names the program that runs
_OPTION = re.compile(r"\* `(?P<names>[^`]+)`: (?P<help>.*)")


@cache
def helps() -> dict[str, str]:
    """Return what ``seviz COMMAND --help`` says of each command, as Markdown, in its order."""
    _, *found = _SECTION.split(str(app.generate_docs(output_format="markdown", recursive=True)))
    # What follows the last command is a section of another kind (--install-completion).
    return {
        name: _USAGE.sub(r"\1 ", text.partition("\n## ")[0]).replace("<", r"\<").strip()
        for name, text in zip(found[::2], found[1::2], strict=True)
    }


def purpose(command: str) -> str:
    """Return the first sentence of a command's help."""
    _usage, _, said = helps()[command].partition("\n```\n")
    return said.strip().partition("\n\n")[0]


class CommandOptions(SphinxDirective):
    """What a command does and takes: usage, purpose, options by group."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Render the help of the command."""
        command = self.arguments[0]
        text = [f"```{{program}} seviz {command}", "```", ""]
        for line in helps()[command].splitlines():
            if group := _GROUP.fullmatch(line):
                text += [f"```{{rubric}} {group['name']}", "```"]
            elif option := _OPTION.fullmatch(line):
                text += [f"```{{option}} {option['names']}", option["help"], "```"]
            else:
                text.append(line)
        return self.parse_text_to_nodes("\n".join(text))


class CommandList(SphinxDirective):
    """Every command with its purpose, in the order of ``seviz --help``; in the sidebar, too."""

    def run(self) -> list[nodes.Node]:
        """Render a table and an entry of the sidebar for each."""
        rows = [f"| [`seviz {name}`]({name}.md) | {purpose(name)} |" for name in helps()]
        sidebar = ["```{toctree}", ":hidden:", "", *helps(), "```"]
        return self.parse_text_to_nodes(
            "\n".join(["| command | what it does |", "|---|---|", *rows, "", *sidebar])
        )


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    sphinx.add_directive("command-options", CommandOptions)
    sphinx.add_directive("command-list", CommandList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
