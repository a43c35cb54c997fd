"""``python -m varbump``, the command line."""

from varbump.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
