"""`python -m inara_daemon`."""

from inara_daemon.cli.main import main

if __name__ == "__main__":
    main()
