"""A Dask cluster: one begun here for the time of a command, or one that is there."""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dask
import psutil

# Before Python 3.11 the TimeoutError that Dask raises is not the built-in one.
from distributed import Client, Nanny, Scheduler, Security, SpecCluster, TimeoutError, rpc
from distributed.comm import CommClosedError, get_address_host_port

from reproduce.engine import cores
from reproduce.errors import BadInput, Failure, first_line
from reproduce.files import read_at_most
from reproduce.profiles import Options
from reproduce.sweep.call import Call, NoAnswer

LOOPBACK = "127.0.0.1"
SECONDS_TO_CONNECT = 4
SECONDS_TO_BEGIN = 60
SECONDS_TO_CLOSE = 30
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)

Connect = Callable[[], contextlib.AbstractContextManager[Client]]


def connection(options: Options) -> Connect:
    """How to get a client of the cluster that the options name."""
    if options.jobs:
        return partial(local, options.jobs, options.device)
    return partial(running, options.scheduler_address)


@contextlib.contextmanager
def local(processes: int, device: int = -1) -> Iterator[Client]:
    """A cluster of `processes` processes on this machine, on loopback, for the time of the context.

    Each does one run at a time, with its share of the cores and, where `device` is a GPU, one of the GPUs. They talk
    in TLS, with certificates that exist for this time only and in memory; Dask's settings may name others, or say that
    nothing is to be encrypted. What they keep on the disk is in a folder that is removed afterwards.

    Raises:
        BadInput: there is no GPU, the certificates cannot be used, or loopback or Dask's folder for temporary files
            cannot.
        Failure: the processes cannot be begun.
    """
    protocol, security = _security()
    _check_loopback(processes)
    # Dask's own HTTP servers would listen on all interfaces.
    http = {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}
    common = {"protocol": protocol, "security": security, "host": LOOPBACK, **http}
    places = _gpus(processes) if device >= 0 else [None] * processes
    spec = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                **common,
                # A run's memory is its own affair; Dask would pause or end what it holds for a leak.
                "memory_limit": 0,
                "silence_logs": logging.CRITICAL,
                **({} if gpu is None else {"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": gpu}}),
            },
        }
        for number, gpu in enumerate(places)
    }
    scheduler = {"cls": Scheduler, "options": {"port": 0, **common}}
    with _quiet(), _folder_of_its_own() as folder, _environment(_thread_settings(processes)):
        settings = {
            # Dask would take any `dask-scratch-space` that it finds, put it first on the path from which modules are
            # imported, and open files in it: whoever made it could run code as the command's owner.
            "temporary-directory": folder,
            # A second task in a worker's queue would be one too many when the worker dies.
            "distributed.scheduler.worker-saturation": 1.0,
            # Dask stops restarting a worker this long after its first death, even if it has died again since.
            "distributed.deploy.lost-worker-timeout": "1 day",
            # Dask's own: one thread, whatever is free, and a malloc that gives memory back after every step.
            "distributed.nanny.pre-spawn-environ": {},
            # Pages on the state of things, for whoever comes by, TLS or not.
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
        }
        with dask.config.set(settings):
            try:
                with _main_module_hidden():
                    cluster = SpecCluster(
                        workers=spec, scheduler=scheduler, security=security, silence_logs=logging.CRITICAL
                    )
            except Exception as error:  # of the system, of Dask, or of a process that died of whatever it imported
                reason = first_line(error)
                raise Failure(f"--jobs={processes}: the processes cannot be begun: {reason}; nothing is lost") from None
            try:
                with Client(cluster, set_as_default=False) as client:
                    _wait_for_processes(client, processes)
                    yield client
            finally:
                _resume_processes()
                # Workers that are too slow for that end by themselves when this process does.
                with contextlib.suppress(TimeoutError):
                    cluster.close(timeout=SECONDS_TO_CLOSE)


def _wait_for_processes(client: Client, processes: int) -> None:
    """Wait for all processes of a local cluster, or go on with those that are there after a while.

    One that dies while it begins is begun again, and Dask gives it up without a word if that fails.

    Raises:
        Failure: there is none.
    """
    try:
        client.wait_for_workers(processes, timeout=SECONDS_TO_BEGIN)
    except TimeoutError:
        there = len(client.nthreads())
        found = f"--jobs={processes}: {there} of the processes began within {SECONDS_TO_BEGIN} s"
        if not there:
            raise Failure(f"{found}; nothing is lost") from None
        print(f"{found}; going on without the others", file=sys.stderr, flush=True)


def _resume_processes() -> None:
    """Let processes of this command that were made to stand still (SIGSTOP) go on: they could not save and end."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                process.resume()


def _security() -> tuple[str, Security]:
    """The protocol of a local cluster and its certificates: those of Dask's settings, or new ones.

    Raises:
        BadInput: the certificates that the settings name cannot be used, or they name none.
    """
    security = Security()
    if not security.require_encryption:
        if dask.config.get("distributed.comm.require-encryption") is None:
            return "tls", Security.temporary()
        return "tcp", security
    for role in ("scheduler", "worker", "client"):
        reason = "not all are set"
        try:
            is_usable = security.get_connection_args(role)["ssl_context"] is not None
        except (OSError, ValueError) as error:  # no such file, no certificate, another one's key
            is_usable, reason = False, first_line(error)
        if not is_usable:
            files = security.get_tls_config_for_role(role)
            raise BadInput(
                f"Dask's settings require encryption: expected distributed.comm.tls.ca-file and .{role} to name "
                f"certificates and a key; found {files['ca_file']}, {files['cert']} and {files['key']}: {reason}"
            )
    return "tls", security


def _check_loopback(processes: int) -> None:
    """See that this machine can connect to itself; Dask would try for a minute.

    Raises:
        BadInput: it cannot.
    """
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise BadInput(
            f"--jobs={processes}: expected processes of this machine to reach each other at {LOOPBACK}: "
            f"{error.strerror or error}; without --jobs, runs are trained one after another in this process"
        ) from None


@contextlib.contextmanager
def _folder_of_its_own() -> Iterator[str]:
    """A new folder that nobody else can look into, where Dask's settings want temporary files; removed afterwards.

    Raises:
        BadInput: it cannot be made.
    """
    place = dask.config.get("temporary-directory")
    try:
        folder = tempfile.TemporaryDirectory(prefix="conv-nn-report-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        where = f"Dask's temporary-directory {place}" if place else "temporary files"
        raise BadInput(f"{where}: expected a folder that can be written to: {error.strerror or error}") from None
    with folder as path:
        yield path


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Processes that are spawned meanwhile do not import the command's own module, with all that it draws with."""
    main = sys.modules["__main__"]
    hidden: dict[str, object] = {name: vars(main).pop(name) for name in ("__spec__", "__file__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


@contextlib.contextmanager
def running(address: str) -> Iterator[Client]:
    """A client of a cluster that is there.

    Args:
        address: of its scheduler, or a scheduler file. What TLS needs is in Dask's own configuration.

    Raises:
        BadInput: nothing that is a Dask scheduler answers there.
    """
    address = check_scheduler(address)
    with _quiet():
        try:
            client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False, name="conv-nn-report")
        except Exception as error:  # it answered a moment ago; whatever it dies of now
            raise _no_scheduler(address, first_line(error)) from None
        try:
            yield client
        finally:
            with contextlib.suppress(TimeoutError):
                client.close(timeout=2)


def workers_of(client: Client) -> Mapping[str, Any]:
    """What the scheduler knows of each worker, by address."""
    try:
        return client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # before 2025
        return client.scheduler_info()["workers"]


def usable(workers: Mapping[str, Any], device: int) -> list[str]:
    """The addresses of those workers that are given runs on a device: for a GPU, those that offer one.

    Raises:
        BadInput: there are workers, and none of them is.
    """
    found = [address for address, about in workers.items() if device < 0 or "GPU" in about["resources"]]
    if workers and not found:
        raise BadInput(
            f"device {device}: expected workers that offer a GPU (dask worker --resources GPU=1); found none"
        )
    return found


def check_scheduler(address: str) -> str:
    """See that a scheduler answers, within seconds; Dask's own clients try for longer, and hang on some answers.

    Returns:
        The scheduler's address; `address` may be a scheduler file.

    Raises:
        BadInput: nothing that is a Dask scheduler answers there.
    """
    given = address
    if "://" not in address and (address.endswith(".json") or Path(address).is_file()):
        try:
            address = json.loads(read_at_most(Path(address), 2**20))["address"]
        except OSError as error:
            raise _no_scheduler(given, error.strerror or "it cannot be read") from None
        except (ValueError, TypeError, KeyError):
            raise _no_scheduler(given, "it is not a scheduler file") from None

    def ask() -> str:
        # Where nothing listens, the system says so at once; Dask would try again until its time is up.
        socket.create_connection(get_address_host_port(address)).close()
        # Nobody waits for this any more by then; the thread is to end.
        return asyncio.run(asyncio.wait_for(_identity(address), 2 * SECONDS_TO_CONNECT))

    with _quiet():
        try:
            # A machine, a name server or a scheduler may be silent for longer than we have.
            found = Call(ask).answer(SECONDS_TO_CONNECT)
        except NoAnswer:
            raise _no_scheduler(given, f"no answer in {SECONDS_TO_CONNECT} s") from None
        except Exception as error:  # sockets, names, TLS, protocols and serializers each have their own
            raise _no_scheduler(given, _reason(error, address)) from None
    if found != "Scheduler":
        raise _no_scheduler(given, f"found a {found}")
    return address


async def _identity(address: str) -> str:
    async with rpc(address, connection_args=Security().get_connection_args("client")) as server:
        return (await server.identity())["type"]


def _reason(error: Exception, address: str) -> str:
    """Why a scheduler does not answer. What Dask says where the two ends disagree on TLS names nothing."""
    is_tls = address.startswith("tls://")
    if is_tls and isinstance(error, TypeError):
        return "Dask's settings name no certificate for the client; docs/cluster.md, TLS"
    # Plain Dask says its first word before anyone asks, and whether that comes in time decides which error it is.
    if isinstance(error, CommClosedError) or (is_tls and isinstance(error, ValueError)):
        return "the connection is closed; is TLS at both ends, and are the certificates of the same authority?"
    return first_line(error)


def _no_scheduler(address: str, reason: str) -> BadInput:
    return BadInput(
        f"scheduler {address}: expected the address of a running Dask scheduler, like tcp://127.0.0.1:8786, or a "
        f"scheduler file: {reason}"
    )


def _gpus(processes: int) -> list[str]:
    """A GPU for each process, as CUDA_VISIBLE_DEVICES names it; with fewer GPUs than processes, several share one."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        present = [name.strip() for name in given.split(",") if name.strip()]
    else:
        from chainer.backends import cuda

        present = [str(number) for number in range(cuda.cupy.cuda.runtime.getDeviceCount())]
    if not present:
        raise BadInput(f"--jobs={processes}: expected a GPU, and there is none; DEVICE=-1 is the CPU")
    return list(itertools.islice(itertools.cycle(present), processes))


def _thread_settings(processes: int) -> dict[str, str]:
    """The cores shared out among processes; fewer where the user's own settings say so."""
    settings, most = {}, max(1, cores() // processes)
    for name in THREAD_SETTINGS:
        given = os.environ.get(name, "")
        threads = min(most, int(given)) if given.isdecimal() and int(given) else most
        settings[name] = str(threads)
        if name == "OMP_NUM_THREADS":
            # What all libraries go by that are not told otherwise.
            most = threads
    return settings


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes begun meanwhile; libraries read them once, when they are loaded."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own log says in many lines what the sweep says in one."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
