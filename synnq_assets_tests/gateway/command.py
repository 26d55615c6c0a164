"""`synnq` as a process of a test."""

from synnq_assets.cli import main

if __name__ == "__main__":
    main()
