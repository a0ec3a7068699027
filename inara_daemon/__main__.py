"""`python -m inara_daemon`."""

import signal

# A reload that comes while we start must not end us: it waits until `run` listens. Before the imports, which take time.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

from inara_daemon.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
