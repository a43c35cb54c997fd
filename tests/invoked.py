"""The command line in this process."""

from click.testing import CliRunner

from varbump.cli.app import varbump as command


def invoke(*arguments, code=0):
    """Result of a command that ends with this exit code."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result
