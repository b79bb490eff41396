"""A program: it opens one model in ONNX Runtime, and prints what that is and answers, as one JSON object.

`model_process` runs it as a process of its own, because a model may be anybody's. So it imports nothing of
Slipway, takes all it needs from standard input, and gives up what it does not need: rights, network, memory.
"""

import ctypes
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
"""Flags of unshare(2): namespaces of its own."""

USER = 65534
"""The user id that Debian gives to the account without rights."""

THREADS = 2
"""Each takes address space of its own, and a machine may have many cores."""

ODDS_SUM_UP_WITHIN = 1e-3


def main() -> None:
    """Answer the request on standard input. What libraries print goes to standard error."""
    request = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _leave_network()
    _limit(request)
    import numpy.random  # noqa: PLC0415, F401  # as root, where its files may be root's; by itself it is late
    import onnxruntime  # noqa: PLC0415, F401

    content = Path(request["file"]).read_bytes()
    _drop_rights()
    json.dump(_seen(content, request), answer)
    answer.close()


def _leave_network() -> None:
    """Where the kernel allows it: a machine's identity can be asked for at an address of the network."""
    libc = ctypes.CDLL(None, use_errno=True)
    _ = libc.unshare(NEW_NETWORK) == 0 or libc.unshare(NEW_USER | NEW_NETWORK)


def _limit(request: dict[str, Any]) -> None:
    for what, limit in (
        (resource.RLIMIT_AS, request["memory"]),
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(what)
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (allowed, allowed))
    with suppress(OSError):  # where the machine's memory ends, this process ends first
        Path("/proc/self/oom_score_adj").write_text("1000")


def _drop_rights() -> None:
    """Where it is root: what is root's own can not be read."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)


def _seen(content: bytes, request: dict[str, Any]) -> dict[str, Any]:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes with its error
    options.intra_op_num_threads = THREADS
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        return {"error": _first_line(error)}
    inputs, outputs = session.get_inputs(), session.get_outputs()
    request["input"] = request["input"] or (inputs[0].name if inputs else "")
    request["output"] = request["output"] or outputs[0].name
    return {
        "inputs": [_tensor(tensor) for tensor in inputs],
        "outputs": [_tensor(tensor) for tensor in outputs],
        "answers": [_answer(session, request, look) for look in request["looks"]],
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "type": tensor.type, "shape": list(tensor.shape)}


def _answer(session: Any, request: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    try:
        (scores,) = session.run([request["output"]], {request["input"]: _input(look, request["steps"])})
    except Exception as error:  # as above, or there is no memory for its input
        return {"error": _first_line(error)}
    if not isinstance(scores, np.ndarray):
        return {"shape": None}
    is_finite = bool(np.isfinite(scores).all())
    has_odds = is_finite and scores.ndim == 2 and bool((scores >= 0).all())
    has_odds = has_odds and np.allclose(scores.sum(axis=1), 1, atol=ODDS_SUM_UP_WITHIN)
    return {"shape": list(scores.shape), "finite": is_finite, "odds": bool(has_odds)}


def _input(look: dict[str, Any], steps: dict[str, Any]) -> Any:
    """What the app's preprocessing makes of a picture, or zeros, as many as the batch is to have."""
    import numpy as np  # noqa: PLC0415

    shape = (look["batch"], steps["crop"], steps["crop"], steps["channels"])
    match look["picture"]:
        case "zeros":
            values = np.zeros(shape, np.float32)
        case "noise":
            values = np.random.default_rng(0).random(shape, np.float32) * np.float32(255)
        case shade:
            values = np.full(shape, shade, np.float32)
    if look["picture"] != "zeros":
        values -= np.asarray(steps["mean"], np.float32)
        values /= np.asarray(steps["std"], np.float32)
    if steps["layout"] == "NCHW":
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return values.reshape(look["batch"], -1) if steps["layout"] == "flat" else values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]


if __name__ == "__main__":
    main()
