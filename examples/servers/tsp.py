"""Tasks for devtask in Python, 3.9 or later: copy this file beside yours, import `task` and `main`, call `main()`."""
import contextlib, json, os, re, socket, sys, threading, traceback
TASKS, LIMIT = {}, 16 << 20  # name -> (function, object of the list); the longest message in bytes

def task(name, **more):
    """Registers a function of a Run; what it returns is handed on. more: description, depends, exec_if_modified, …"""
    assert name not in TASKS, f"there are two tasks `{name}`"
    return lambda function: TASKS.setdefault(name, (function, {"name": name, **more}))[0]

class Run:
    def __init__(self, params, told):
        self.task, self.id, self.inputs = params["task"], params.get("run"), params.get("inputs")
        self.outputs, self.cwd, self.told = params.get("outputs") or {}, params.get("cwd") or ".", told
        self.env = {**os.environ, **(params.get("env") or {})}  # for subprocess.run(..., env=run.env, cwd=run.cwd)
        self.exports, self.messages, self.status, self.is_cancelled = {}, [], "succeeded", threading.Event()
    cancelled = property(lambda self: self.is_cancelled.is_set())  # to be asked now and then by what takes long
    def tell(self, method, **params): self.told(self, method, {"task": self.task, "run": self.id, **params})
    def log(self, text, stderr=False):  # line by line, one of more than a million letters in pieces
        for line in re.findall(r"[^\n]{1,1000000}|(?m:^$)", str(text)): self.tell("log", line=line, stderr=stderr)
    def warn(self, text): self.log(text, stderr=True)
    def progress(self, done, total=None, message=None): self.tell("progress", done=done, total=total, message=message)
    def diagnostic(self, file, message, **more): self.tell("diagnostic", file=file, message=message, **more)
    def perform(self):
        result = {"task": self.task, "exports": self.exports, "messages": self.messages}
        try:
            result.update(outputs=TASKS[self.task][0](self), status=self.status)  # which the task may set to "skipped"
            if len(json.dumps(result, allow_nan=False)) > LIMIT - 256: raise ValueError("it hands on too much")
        except BaseException:  # sys.exit() in a task is its failure too
            fault = {"message": traceback.format_exc().strip().split("\n")[-1], "detail": traceback.format_exc()}
            result.update(outputs=None, status="cancelled" if self.cancelled else "failed", error=fault)
        return result

class Connection:
    def __init__(self, sock): self.sock, self.lock, self.runs, self.is_known = sock, threading.Lock(), set(), False
    def tell(self, run, method, params): self.send({"method": method, "params": params}, run)
    def answer(self, id, result=None, run=None): self.send({"id": id, "result": result}, run, is_last=True)
    def refuse(self, id, code, message): self.send({"id": id, "error": {"code": code, "message": message}})
    def send(self, message, run=None, is_last=False):
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self.lock, contextlib.suppress(OSError):  # where nobody reads, read() finds the end
            if run is None or run in self.runs: self.sock.sendall(line)
            if is_last: self.runs.discard(run)  # it says nothing any more
    def read(self):
        rest = b""
        for chunk in iter(lambda: self.sock.recv(1 << 20), b""):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines: self.parse(line)
            if rest.endswith(b"}") and self.parse(rest, is_whole=False): rest = b""
            if len(rest) > LIMIT: return self.refuse(None, -32600, "a message is too long")
        self.parse(rest)
    def parse(self, line, is_whole=True):  # the messages of a line need not be apart; false: it may yet become JSON
        messages, text = [], line.decode(errors="backslashreplace").strip()  # what is no UTF-8 is no JSON then
        try:
            while text:
                message, end = json.JSONDecoder().raw_decode(text)
                messages, text = messages + [message], text[end:].lstrip()
        except (ValueError, RecursionError) as error:
            if not is_whole: return False
            messages.append(ValueError(error))
        for message in messages: self.take(message)
        return True
    def take(self, message):
        if isinstance(message, ValueError): return self.refuse(None, -32700, f"a line is no JSON: {message}")
        if type(message) is not dict: return self.refuse(None, -32600, "no request")
        id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if type(method) is not str or "id" in message and type(id) not in (int, str):
            if not {"result", "error"} & set(message): self.refuse(None, -32600, "no request")
        elif "id" not in message: method == "cancel" and type(params) is dict and self.cancel(**params)
        elif type(params) is not dict: self.refuse(id, -32602, "the params are no object")
        elif method == "initialize":
            self.is_known, can = True, {"cancel": True, "progress": True, "listChanged": False}
            self.answer(id, {"tasks": [it for _, it in TASKS.values()], "protocolVersion": 1, "capabilities": can})
        elif not self.is_known: self.refuse(id, -32002, "`initialize` comes first")
        elif method == "shutdown": self.answer(id), self.cancel()
        elif method != "run": self.refuse(id, -32601, f"there is no method `{method}`")
        elif type(params.get("task")) is not str: self.refuse(id, -32602, "`run` needs a task")
        elif params["task"] not in TASKS: self.refuse(id, -32001, f"there is no task `{params['task']}`")
        else:
            self.runs.add(run := Run(params, self.tell))
            threading.Thread(target=lambda: self.answer(id, run.perform(), run), daemon=True).start()
    def cancel(self, task=None, run=None, **_):
        for it in list(self.runs): (run == it.id if run else task in (None, it.task)) and it.is_cancelled.set()

def main():
    """The program: with the path of a socket it serves there, else it is a tool: `list` or `run NAME [JSON]`."""
    verb, name, given = (sys.argv[1:] + ["", "", ""])[:3]
    if verb == "list": print("\n".join(f"{name:20} {it.get('description', '')}" for name, (_, it) in TASKS.items()))
    elif verb == "run" and name in TASKS:
        tell = lambda _, method, it: print(it.get("line", it), file=(sys.stdout, sys.stderr)[it.get("stderr", True)])
        result = Run({"task": name, "inputs": json.loads(given or "null")}, tell).perform()
        sys.exit(result["error"]["detail"] if "error" in result else print(json.dumps(result["outputs"])))
    elif "/" in verb:
        (listener := socket.socket(socket.AF_UNIX)).bind(verb), listener.listen(1)
        connection = Connection(listener.accept()[0])
        with contextlib.suppress(ConnectionResetError): connection.read()
        connection.cancel()
        for thread in threading.enumerate()[1:]: thread.join(2)  # it may have to clean up; then it ends with us
        sys.stdout.flush(), os._exit(0)
    else: print(f"usage: {sys.argv[0]} list | run NAME [JSON]; tasks: {' '.join(TASKS)}", file=sys.stderr), sys.exit(2)
