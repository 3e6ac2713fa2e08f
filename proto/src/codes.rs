//! Every error code a person can meet: `MESHnnnn`, what it means, why it happens, what to do.
//!
//! A code is never reused or renumbered: scripts and runbooks name it. 10xx connection and
//! daemon, 11xx manifest, 12xx services and routes, 13xx changes and state, 14xx runs and
//! capture, 15xx what the data plane answers (`x-mesh-error`), 16xx trace and metrics.

/// One error code and its documentation, as `meshctl explain MESHnnnn` prints it offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub fix: &'static str,
    /// Exit status of `meshctl` when a command ends with it.
    pub exit: i32,
}

/// The entry of `code`, in any letter case.
#[must_use]
pub fn lookup(code: &str) -> Option<&'static Code> {
    ALL.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($($name:ident $code:literal exit $exit:literal $title:literal why $why:literal fix $fix:literal)*) => {
        $(
            #[doc = $title]
            pub const $name: Code =
                Code { code: $code, title: $title, why: $why, fix: $fix, exit: $exit };
        )*
        /// Every code, in ascending order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    NOT_RUNNING "MESH1001" exit 4 "meshd is not running"
        why "nothing listens on the API socket: the daemon was not started, has stopped, or uses another socket"
        fix "start it: `sudo systemctl start meshd`, without systemd `sudo meshd`; for a socket elsewhere set MESHCTL_SOCKET or --socket"
    INCOMPATIBLE "MESH1002" exit 4 "meshctl and meshd have incompatible versions"
        why "the two programs may differ by one minor version"
        fix "install both from the same release; `meshctl version` shows the two"
    PERMISSION "MESH1003" exit 7 "permission denied"
        why "the API socket belongs to root and the group `mesh`; peer credentials decide who may do what"
        fix "run it with sudo, or join the group: `sudo usermod -aG mesh $USER`, then log in again"
    NOT_READY "MESH1004" exit 4 "meshd is still starting"
        why "the daemon answers, but capture or its listeners are not up yet"
        fix "try again in a moment: `meshctl status` exits 0 once it is ready"
    CONNECTION_LOST "MESH1005" exit 4 "the connection to meshd broke"
        why "the daemon stopped, restarted or was cut off before it answered"
        fix "see whether it runs: `meshctl status`; a change is either whole in `meshctl history` or absent"
    CALL_TIMED_OUT "MESH1006" exit 124 "meshd did not answer in time"
        why "the call took longer than --timeout (30s by default)"
        fix "raise the limit with --timeout or MESHCTL_TIMEOUT; `meshctl status` shows whether the daemon is busy"
    USAGE "MESH1007" exit 2 "the command line cannot be understood"
        why "a flag or value is wrong, missing, or contradicts another"
        fix "see `meshctl help COMMAND`"
    INVALID_SETTING "MESH1008" exit 2 "a setting is not valid"
        why "a key of the settings file, a flag or an environment variable has a value that cannot be used"
        fix "correct the named key; `meshctl env` and `meshd --help` list every setting and its origin"
    PORT_IN_USE "MESH1009" exit 3 "a port meshd needs is taken"
        why "another process listens on it"
        fix "stop that process, or give meshd another port in its settings"
    HOST_UNSUPPORTED "MESH1010" exit 8 "this host cannot do what was asked"
        why "a kernel feature, a mount or a capability that the function needs is missing"
        fix "the message names what is missing; `meshctl status` shows which capture backend is possible"
    INTERNAL "MESH1011" exit 3 "meshd met an error it did not expect"
        why "this is a defect of meshd; nothing was changed"
        fix "look into the daemon's log for the same moment and report it"
    NOT_THIS_USER "MESH1012" exit 7 "this name belongs to somebody else"
        why "a service name is an identity: root may use any, others only names they declared first"
        fix "use another name, or run it with sudo"
    LOCAL "MESH1013" exit 3 "this side of the work failed"
        why "meshctl could not write its answer, read a file or use the host as it needed to"
        fix "the message names what failed: free space, permissions or a missing program"

    SYNTAX "MESH1100" exit 2 "the text is neither YAML nor JSON"
        why "the parser stopped at the position given"
        fix "check indentation, quotes and brackets there; tabs cannot indent YAML"
    UNKNOWN_FIELD "MESH1101" exit 2 "a field does not exist"
        why "unknown fields are refused, since a misspelt one would otherwise be ignored silently"
        fix "`meshctl explain KIND` lists the fields"
    WRONG_TYPE "MESH1102" exit 2 "a value has the wrong type"
        why "values are never guessed: a string that reads like a number or a boolean needs quotes"
        fix "`meshctl explain KIND.field` tells the type"
    MISSING_FIELD "MESH1103" exit 2 "a required field is missing"
        why "the object means nothing without it"
        fix "add the field; `meshctl explain KIND` shows an example"
    INVALID_VALUE "MESH1104" exit 2 "a value is not allowed"
        why "the value is out of range, malformed, or not one of the possible words"
        fix "`meshctl explain KIND.field` lists what is possible"
    INVALID_NAME "MESH1105" exit 2 "a name is not valid"
        why "names are DNS labels: 1 to 63 of a-z, 0-9 and '-', starting and ending with a letter or digit"
        fix "choose such a name"
    UNKNOWN_KIND "MESH1106" exit 2 "this kind of object does not exist"
        why "apiVersion and kind together name the kind"
        fix "known kinds: Service (mesh/v1), HTTPRoute and TCPRoute (gateway.networking.k8s.io)"
    INVALID_WEIGHT "MESH1107" exit 2 "a weight is not usable"
        why "weights are whole numbers from 0 to 1000000, and at least one backend of a rule needs more than 0"
        fix "correct the weight; 0 means no traffic"
    INVALID_REGEX "MESH1108" exit 2 "a regular expression is not valid"
        why "it is malformed, uses look-around or back-references (the engine runs in linear time), or compiles to more than 256 KiB"
        fix "simplify the expression; syntax: https://docs.rs/regex"
    TOO_LARGE "MESH1109" exit 2 "the manifest is too large or too deep"
        why "bounds protect the daemon: 16 MiB of text, 64 levels, one million values, of which aliases may add ten thousand"
        fix "split the manifest, or write repeated parts out"
    DUPLICATE "MESH1110" exit 2 "something is there twice"
        why "two keys, objects, ports or endpoints with one name cannot both hold"
        fix "remove one of the two"
    NOT_SUPPORTED "MESH1111" exit 2 "a Gateway API feature that this version does not have"
        why "the field is valid in the Gateway API but would have no effect here, so it is refused instead of ignored"
        fix "remove the field from routes whose parent is a Service"
    ROUTE_CYCLE "MESH1112" exit 2 "routes lead in a circle"
        why "a request could be sent from one service's route to the next for ever"
        fix "send one of the named routes to its own service's endpoints instead"
    UNREADABLE "MESH1113" exit 2 "the manifest cannot be read"
        why "the file is missing, not a regular file, not UTF-8, or not readable by you"
        fix "check the path and its permissions"

    SERVICE_NOT_FOUND "MESH1201" exit 5 "no such service"
        why "nobody declared it on this mesh"
        fix "`meshctl get services` lists them; `meshctl register NAME --port PORT` declares one"
    ROUTE_NOT_FOUND "MESH1202" exit 5 "no such route"
        why "the service has no route yet, or it is called differently"
        fix "`meshctl get routes` lists them; `meshctl route NAME` makes one"
    RULE_NOT_FOUND "MESH1203" exit 5 "the route has no rule of this number"
        why "rules count from 1 in the order of the manifest"
        fix "`meshctl get route/NAME -o yaml` shows the rules"
    SUBSET_EMPTY "MESH1204" exit 3 "a subset has no endpoints"
        why "traffic sent to it would fail; no endpoint of the service carries this subset"
        fix "register one: `meshctl register NAME --port PORT --subset SUBSET`, or add --allow-empty to set the weight in advance"
    ENDPOINT_NOT_FOUND "MESH1205" exit 5 "no such endpoint"
        why "no endpoint of the service matches the port, address and subset given"
        fix "`meshctl describe service/NAME` lists the endpoints"
    ADDRESS_TAKEN "MESH1206" exit 6 "the address already serves another service"
        why "an endpoint's address is captured as its service's; it cannot stand for two"
        fix "deregister it there first: `meshctl deregister OTHER --port PORT`"
    PORT_CONFLICT "MESH1207" exit 6 "the service port is declared with another protocol"
        why "one port of a service speaks one protocol"
        fix "use another --service-port, or the same protocol as the existing endpoints"
    OBJECT_NOT_FOUND "MESH1208" exit 5 "no such object"
        why "nothing of this kind has this name"
        fix "`meshctl get KIND` lists what is there"
    NO_FREE_ADDRESS "MESH1209" exit 3 "no virtual address is left"
        why "every address of the service range is in use"
        fix "delete services that are not needed, or widen the range in meshd's settings"
    OTHER_OWNER "MESH1210" exit 6 "the object belongs to another owner"
        why "it was declared by somebody else, or by another set of manifests"
        fix "change it where it was declared"

    GENERATION_MOVED "MESH1301" exit 6 "somebody changed the mesh in between"
        why "--if-generation named another generation than the newest"
        fix "look at `meshctl history`, then repeat with the current generation"
    NOT_STORED "MESH1302" exit 3 "the change could not be stored"
        why "the state directory's disk is full, read-only or failing; nothing was changed"
        fix "free space on the disk of the state directory; meshd keeps serving"
    STATE_CORRUPT "MESH1303" exit 3 "the stored state is damaged"
        why "the state file does not match its checksums; meshd serves what it could read and refuses changes"
        fix "the damaged file was kept beside the state file; restore a copy, or remove it to start empty"
    GENERATION_NOT_FOUND "MESH1304" exit 5 "no such change"
        why "the history does not have this number"
        fix "`meshctl history` lists the changes"
    UNDO_CONFLICT "MESH1305" exit 6 "the change cannot be undone by itself"
        why "a later change touched the same object"
        fix "undo the later change first, or return to a whole state with `meshctl undo --to N`"
    NOT_LIVE "MESH1306" exit 124 "the change is stored but not live everywhere in time"
        why "a reader of the configuration has not taken it up yet"
        fix "`meshctl status` names who lags; it becomes live without being repeated"
    WAIT_TIMED_OUT "MESH1307" exit 124 "the condition did not become true in time"
        why "`wait` reached its --timeout; the message tells the last state seen"
        fix "raise --timeout, or look at `meshctl describe KIND/NAME`"
    STATE_IN_USE "MESH1308" exit 3 "another meshd uses this state directory"
        why "the state has one writer"
        fix "stop the other daemon, or give this one its own --state-dir"
    NEEDS_CONFIRMATION "MESH1309" exit 10 "the command needs a confirmation"
        why "it cannot ask without a terminal, or the answer was no; nothing was changed"
        fix "add --yes"
    DRIFT "MESH1310" exit 1 "the mesh differs from the manifests"
        why "the live objects were changed, or the files were"
        fix "`meshctl apply -f FILE` makes the mesh match the files"

    RUN_FAILED "MESH1401" exit 125 "the command could not be started inside the mesh"
        why "meshd is not there or could not make the run's cgroup; the command was not started"
        fix "`meshctl status` tells whether meshd is up and what it can capture"
    NOT_EXECUTABLE "MESH1402" exit 126 "the command is not executable"
        why "the file exists, but you may not execute it"
        fix "chmod +x FILE, or name its interpreter"
    COMMAND_NOT_FOUND "MESH1403" exit 127 "the command was not found"
        why "no such file, and no directory in PATH has it"
        fix "give the full path"
    CAPTURE_UNAVAILABLE "MESH1404" exit 8 "no capture backend works on this host"
        why "neither eBPF nor nftables can be used; the notes say why"
        fix "run meshd as root on a kernel with cgroup v2 and either of the two; `--backend nft` forces one"
    CAPTURE_FAILED "MESH1405" exit 3 "the host's capture could not be changed"
        why "the kernel refused a program, rule or cgroup"
        fix "`meshctl status` names the refused step; other traffic is not touched"

    NO_ENDPOINT "MESH1501" exit 1 "no endpoint can take the request (503)"
        why "the chosen service or subset has no endpoint, or its weights are all 0"
        fix "`meshctl describe service/NAME` shows endpoints and their health"
    CONNECT_FAILED "MESH1502" exit 1 "no endpoint could be reached (503)"
        why "each endpoint tried refused the connection or did not accept it in time"
        fix "check that the service listens where it was registered: `meshctl describe service/NAME`"
    TIMED_OUT "MESH1503" exit 1 "the route's timeout was reached (504)"
        why "the service had not answered completely within the rule's `timeouts`"
        fix "`meshctl trace list --to NAME --failed` shows where the time went; raise it with `meshctl route NAME --timeout`"
    UPSTREAM_CLOSED "MESH1504" exit 1 "the service closed the connection before its answer was whole (502)"
        why "it crashed, restarted or closed a connection with a request under way"
        fix "look into the service's own log; `meshctl route NAME --retry 2@502` retries safe requests"
    UPSTREAM_PROTOCOL "MESH1505" exit 1 "the service's answer is not valid HTTP (502)"
        why "its head is malformed, ambiguous in length, or too large"
        fix "if it does not speak HTTP, register it with --port tcp:PORT"
    NO_ROUTE "MESH1506" exit 1 "no rule matches the request (404)"
        why "the service has a route, but none of its rules matches and there is no rule without matches"
        fix "`meshctl get route/NAME -o yaml` shows the rules; a rule without matches takes the rest"
    BAD_REQUEST "MESH1507" exit 1 "the request is not valid HTTP (400)"
        why "malformed or ambiguous requests are refused, since two programs could read them differently"
        fix "correct the client; for harmless deviations register the service with --compat lenient"
    HEAD_TOO_LARGE "MESH1508" exit 1 "the request's head is too large (431)"
        why "the request line and headers exceed what meshd accepts"
        fix "send fewer or shorter headers, often cookies"
    CLIENT_TOO_SLOW "MESH1509" exit 1 "the request's head did not arrive in time (408)"
        why "slow heads hold resources, so they end"
        fix "check the client and the network between"
    OVERLOADED "MESH1510" exit 1 "meshd has no room for the request (503)"
        why "a limit on connections or memory was reached"
        fix "`meshctl status` shows the load; raise the limit in meshd's settings"
    DRAINING "MESH1511" exit 1 "meshd is stopping (503)"
        why "it finishes what is under way and takes nothing new"
        fix "try again once it runs"
    REQUEST_PANIC "MESH1512" exit 1 "meshd failed while carrying this request (500)"
        why "this is a defect of meshd; other requests are not affected"
        fix "look into the daemon's log for the same moment and report it"
    LOOP "MESH1513" exit 1 "the request came back to meshd (508)"
        why "an endpoint's address leads into the mesh again"
        fix "`meshctl describe service/NAME` shows the endpoint; deregister it"
    UNDECLARED_PORT "MESH1514" exit 1 "the service has no such port"
        why "only declared ports of a service's virtual address are served, others are refused at once"
        fix "`meshctl get service/NAME` shows its ports; `meshctl register NAME --service-port PORT` adds one"
    NOT_CAPTURED "MESH1515" exit 1 "the connection was not captured"
        why "it was made to meshd's own port, not to a destination of the mesh"
        fix "connect to the service's name instead: http://NAME.mesh/"
    URI_TOO_LONG "MESH1516" exit 1 "the request's target is too long (414)"
        why "the request line exceeds what meshd accepts"
        fix "send long values in the body"
    NOT_IMPLEMENTED "MESH1517" exit 1 "the request asks for something meshd does not do (501)"
        why "an unknown transfer coding cannot be forwarded safely"
        fix "send the body chunked or with its length"
    BAD_VERSION "MESH1518" exit 1 "the HTTP version is not spoken here (505)"
        why "HTTP/1.0 and HTTP/1.1 are"
        fix "correct the client"

    UNEXPECTED_STATUS "MESH1601" exit 1 "the answer has another status than expected"
        why "`trace request --expect` compares it"
        fix "the steps printed tell who answered"
    TOO_SLOW "MESH1602" exit 1 "the answer took longer than allowed"
        why "`trace request --max-latency` compares it"
        fix "the steps printed tell where the time went"
    RECORD_NOT_FOUND "MESH1603" exit 5 "no record of this request"
        why "the id is wrong, or newer requests have replaced it"
        fix "`meshctl trace list` shows the requests still kept"
    THRESHOLD "MESH1604" exit 1 "a --fail-if condition was met"
        why "the measured value crosses the limit given"
        fix "`meshctl trace list --failed` shows the requests behind it"
    NOT_SENT "MESH1605" exit 3 "the request could not be sent"
        why "its URL, name or connection failed before any service was asked"
        fix "`meshctl get services` lists the names that resolve"
    NO_ANSWER "MESH1606" exit 124 "the request had no answer in time"
        why "`trace request` reached its --timeout before the whole answer had arrived"
        fix "raise --timeout, or see where the time goes: `meshctl trace list --to NAME`"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_documented() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
        for entry in ALL {
            assert!(!entry.why.is_empty() && !entry.fix.is_empty() && entry.exit > 0, "{entry:?}");
            assert_eq!(lookup(&entry.code.to_lowercase()), Some(entry));
        }
        assert_eq!(lookup("MESH9999"), None);
    }
}
