"""`bart-pogmdm serve`: a server of the MRD streaming protocol, for scanners and Gadgetron's clients."""

import contextlib
import sys

from .parser import Parser, given
from .shell import INFO, debug_level, wants_gpu

HOST, PORT = "127.0.0.1", 9002

def _parser() -> Parser:
    parser = Parser(prog="bart-pogmdm serve", description=(
        "Listen for raw data in the MRD streaming protocol, as FIRE, OpenRecon and Gadgetron's clients speak it, and "
        "answer with the images of `bart pogmdm`. The configuration is pogmdm, with options in JSON. Each connection "
        "has its own process. Ends by Ctrl-C or SIGTERM."))
    parser.take("--port", "--host", "--connections", "--memory", "--message", "--timeout", "--prior", "-g")
    return parser


def serve(argv: list[str]) -> int:
    """Serve until a signal ends it.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    from ..prior.prior_file import load_prior
    from ..serve.limits import Limits
    from ..serve.server import Server
    limits = Limits(**given(args, "connections", "memory", "message", "timeout"))
    level = debug_level()

    def report(sentence: str) -> None:
        if level >= INFO:
            with contextlib.suppress(OSError):
                print(sentence, file=sys.stderr, flush=True)

    device = "gpu" if wants_gpu() else args.device
    server = Server(args.host or HOST, PORT if args.port is None else args.port, limits, load_prior(args.prior), device,
                    report)
    server.run(lambda: print(f"listening on {server.address}", flush=True))
    return 0
