"""The scripts for PowerShell parse, by the grammar of tree-sitter. Nothing runs them here."""

from world import ROOT, equal, test

SCRIPTS = ("packaging/install.ps1", "assets/completions/keywright.ps1")


def errors(text):
    """The lines that are not PowerShell."""
    import tree_sitter
    import tree_sitter_powershell

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

    def walk(node):
        if node.is_error or node.is_missing:
            yield node.start_point.row + 1
        for child in node.children:
            yield from walk(child)

    return list(walk(parser.parse(text).root_node))


@test
def scripts_for_powershell_parse(_world):
    for script in SCRIPTS:
        text = (ROOT / script).read_bytes()
        equal((script, errors(text)), (script, []))
        assert errors(text.replace(b"}", b"", 1)), f"{script}: a missing brace is not noticed"
