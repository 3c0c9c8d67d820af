"""`python -m afitrt` is `afitrt`."""

from afitrt.cli import main

if __name__ == "__main__":
    main()
