# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_meshctl_global_optspecs
    string join \n o/output= jq= no-headers q/quiet v/verbose color= socket= n/namespace= timeout= h/help V/version
end

function __fish_meshctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_meshctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_meshctl_using_subcommand
    set -l cmd (__fish_meshctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c meshctl -n "__fish_meshctl_needs_command" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_needs_command" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_needs_command" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_needs_command" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_needs_command" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_needs_command" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s]' -r
complete -c meshctl -n "__fish_meshctl_needs_command" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_needs_command" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_needs_command" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c meshctl -n "__fish_meshctl_needs_command" -s V -l version -d 'Print version'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "install" -d 'Install meshd on this host; confirmed over SSH, else rolled back'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "uninstall" -d 'Remove everything install created, then prove nothing is left'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "check" -d 'Test this host (--pre) or the running mesh'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "status" -d 'Show daemon, capture, traffic and problems on one screen'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "demo" -d 'Show the mesh at work, then remove every trace of it'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "completion" -d 'Set up shell completion'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "version" -d 'Show the versions of meshctl and meshd'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "schema" -d 'Print the JSON Schema of a kind'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "lint" -d 'Validate manifests offline'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "explain" -d 'Explain a kind, a field, an error code, or what happens to a process\'s traffic'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "env" -d 'Show settings in force and their origin'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "register" -d 'Declare an endpoint of a service (upsert)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "deregister" -d 'Remove an endpoint (or the service with --all)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "unregister" -d 'Remove an endpoint (or the service with --all)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "run" -d 'Run one command inside the mesh'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "attach" -d 'Bring a PID, systemd unit, container or user into the mesh (new connections only)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "detach" -d 'Take a PID, systemd unit, container or user out of the mesh again'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "route" -d 'Set match rules, timeouts and retries of a service'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "split" -d 'Set the weights of a service\'s subsets'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "bypass" -d 'Let traffic go direct for a time, not through meshd'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "top" -d 'Watch services, their subsets and endpoints live'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "stat" -d 'Show traffic, success and latency of services'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "trace" -d 'Send one real request, or show recorded ones, with every decision'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "events" -d 'Show what happened: capture, health, settings'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "debug" -d 'Show what capture has installed in the kernel'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "metrics" -d 'Print Prometheus metrics'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "apply" -d 'Apply manifests, all of them or none'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "diff" -d 'Show how the mesh differs from manifests (exit 1 if it does)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "get" -d 'Show objects: services, routes, runs, attachments'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "ls" -d 'Show objects: services, routes, runs, attachments'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "describe" -d 'Show one object with all that is known about it'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "delete" -d 'Delete objects'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "wait" -d 'Wait until objects are in a state (exit 124 if they are not in time)'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "export" -d 'Print the declared state as manifests'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "history" -d 'Show every change with author, command line and difference'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "undo" -d 'Revert the newest change, change N, or everything after N'
complete -c meshctl -n "__fish_meshctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l capture -d 'Whose traffic is captured [default: services, those that are run, attached or registered]' -r -f -a "services\t''
host\t''
none\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l backend -d 'How: auto, ebpf, nft or iptables [default: auto]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l mesh -d 'Name of the mesh [default: default]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l node -d 'Name of this node [default: the host name]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l trust-domain -d 'SPIFFE trust domain [default: MESH.mesh]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l dns -d 'Whether meshd answers for .mesh whatever name server is asked; off: names lead nowhere, and services are reached by address [default: on]' -r -f -a "on\t''
off\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l exclude-port -d 'Port never captured: 9000, tcp:9000, udp:9000-9010 (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l exclude-cidr -d 'Addresses never captured (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l exclude-uid -d 'User never captured (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l exclude-interface -d 'Interface whose traffic is never captured (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l exclude-cgroup -d 'Cgroup never captured, below the cgroup2 mount (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l fail-mode -d 'What becomes of other traffic while meshd is down [default: open, it flows]' -r -f -a "open\t''
closed\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l confirm-within -d 'Roll back unless confirmed in time [default: 60s over SSH on a terminal, else off]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l accept-risk -d 'Do not ask for confirmation although this is an SSH session' -r -f -a "lose-ssh\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l prefix -d 'Folder whose libexec/ takes meshd [default: /usr/local]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l no-systemd -d 'Start meshd as a plain daemon: no unit, and no start after a reboot'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l dry-run -d 'Print every file, unit, rule and route, and change nothing'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s y -l yes -d 'Do not ask whether to proceed'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand install" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l drain -d 'How long open connections may go on [default: 10s]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l verify -d 'Compare the host with the snapshot the installation took' -r -f -a "true\t''
false\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l keep-data -d 'Keep the state folder: services, routes, history'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s y -l yes -d 'Do not ask whether to proceed'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand uninstall" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l category -d 'Only these categories (comma separated, repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l service -d 'Why one service cannot be reached: names the layer that fails' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l fail-on -d 'What counts as failed: fail or warn' -r -f -a "fail\t''
warn\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l wait -d 'Try again for this long until nothing fails' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l pre -d 'Before an installation: only what the host itself must have'
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand check" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l act -d 'Play only this act (repeatable)' -r -f -a "call\t''
canary\t''
outage\t''
story\t''
numbers\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l keep -d 'Leave everything running afterwards, until Ctrl-C'
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand demo" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l install -d 'Write the line that loads it into the shell\'s start file, instead of printing'
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand completion" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand version" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand schema" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s f -l file -d 'Manifest file, folder of them, or - for standard input (repeatable)' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand lint" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l pid -d 'Process whose traffic is meant' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l to -d 'Where it would go, tcp:IP:PORT or udp:IP:PORT' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand env" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l port -d 'Port the endpoint listens on; without a protocol it is detected' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l service-port -d 'Port of the service [default: 80 for http, else the endpoint\'s port]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l address -d 'Address of the endpoint, in meshd\'s network namespace [default: 127.0.0.1]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l subset -d 'Version or group of the endpoint' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l label -d 'Label of the endpoint (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l health -d 'How its health is probed' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l interval -d 'Time between two probes [default: 2s]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l weight -d 'Share within its subset [default: 1]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l compat -d 'Treatment of HTTP that is wrong but harmless' -r -f -a "strict\t''
lenient\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l pid -d 'Gone for good when this process ends' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l unit -d 'There while this systemd unit runs' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l container -d 'There while this container runs' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l if-absent -d 'Leave an existing endpoint as it is'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand register" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l port -d 'Port of the endpoint; without a protocol of connections and datagrams alike' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l address -d 'Address of the endpoint' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l subset -d 'Every endpoint of this subset' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l all -d 'The service with every endpoint this node declared'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l must-exist -d 'Fail (exit 5) when there is nothing to remove'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand deregister" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l port -d 'Port of the endpoint; without a protocol of connections and datagrams alike' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l address -d 'Address of the endpoint' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l subset -d 'Every endpoint of this subset' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l all -d 'The service with every endpoint this node declared'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l must-exist -d 'Fail (exit 5) when there is nothing to remove'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand unregister" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l as -d 'Service the command acts as [default: none, an ephemeral name]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l port -d 'Serve too: the port the command listens on, as an endpoint of --as while the run lasts' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l subset -d 'Version or group of that endpoint' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l ready -d 'Probe that has to pass before the endpoint gets traffic' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l allow-egress -d 'What it may reach beside the mesh: hosts, *.suffixes, networks, each with an optional :PORT' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l env-file -d 'File of NAME=VALUE lines for the command\'s environment (repeatable)' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l rootless -d 'Without root: in a network namespace of its own, with a meshd of this user\'s'
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand run" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l pid -d 'One process with its descendants, moved into a cgroup of their own' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l unit -d 'Systemd unit; stays so across its restarts' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l container -d 'Container, by id, the beginning of its id, or name' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l netns -d 'Network namespace: a name below /run/netns, or a path' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l uid -d 'Every process of this user in meshd\'s network namespace' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l cgroup -d 'Cgroup, as a path below the cgroup2 mount' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l as -d 'Service the processes act as [default: none]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l allow-egress -d 'What they may reach beside the mesh: hosts, *.suffixes, networks, each with an optional :PORT' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand attach" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l pid -d 'One process with its descendants, moved into a cgroup of their own' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l unit -d 'Systemd unit; stays so across its restarts' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l container -d 'Container, by id, the beginning of its id, or name' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l netns -d 'Network namespace: a name below /run/netns, or a path' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l uid -d 'Every process of this user in meshd\'s network namespace' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l cgroup -d 'Cgroup, as a path below the cgroup2 mount' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l must-exist -d 'Fail (exit 5) when it is not attached'
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand detach" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l path-prefix -d 'Match paths below this one, segment by segment' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l path -d 'Match this path exactly' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l path-regex -d 'Match paths by a regular expression over the whole path' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l method -d 'Match the method' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l header -d 'Match a header (repeatable, all must match)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l query -d 'Match a query parameter (repeatable, all must match)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l to -d 'Where matching requests go (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l timeout -d 'Longest time a request may take, answered 504 when reached' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l retry -d 'Attempts after the first, and on which answers; connect errors always count' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l rule -d 'Change this rule, counted from 1, whatever it matches' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l delete-rule -d 'Remove this rule, counted from 1' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand route" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l rule -d 'Rule to set, counted from 1 [default: the rule without matches]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l allow-empty -d 'Accept a subset that has no endpoint yet'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand split" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l for -d 'For how long, 1s to 24h' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l all -d 'Everything this node captures'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l end -d 'End it now'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand bypass" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l sort -d 'Order of the services' -r -f -a "name\t''
rps\t''
success\t''
p99\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l filter -d 'Only services whose name contains TEXT; !TEXT for the others' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l window -d 'Time the rates cover, 1s to 5m [default: 10s, with --duration that time]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l duration -d 'Stop after this time' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l fail-if -d 'Exit 1 when this holds at the end (repeatable): success<99, p99>250ms, rps<10' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l once -d 'Print one frame and end'
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand top" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l sort -d 'Order of the services' -r -f -a "name\t''
rps\t''
success\t''
p99\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l filter -d 'Only services whose name contains TEXT; !TEXT for the others' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l window -d 'Time the rates cover, 1s to 5m [default: 10s, with --duration that time]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l duration -d 'Stop after this time' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l fail-if -d 'Exit 1 when this holds at the end (repeatable): success<99, p99>250ms, rps<10' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s w -l watch -d 'Show them again every second'
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand stat" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -f -a "request" -d 'Send one real request and show every decision'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -f -a "list" -d 'List recent requests and connections'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -f -a "get" -d 'Show one recorded trace again'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and not __fish_seen_subcommand_from request list get help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l from -d 'Service to send as [default: this run\'s, else none]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s X -l request -d 'Method [default: GET, with a body POST]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s H -l header -d 'Header to send (repeatable)' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s d -l data -d 'Body to send' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l expect -d 'Exit 1 unless the answer has this status' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l max-latency -d 'Exit 1 when the answer takes longer' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l timeout -d 'Longest time for one answer, 0 for no limit; exit 124 when reached [default: 30s]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l samples -d 'Send N requests and show the spread of each step' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from request" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l from -d 'Sent by this service' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l to -d 'Sent to this service' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l subset -d 'Served by this subset' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l slow -d 'Only those that took at least this long' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l limit -d 'At most N' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l failed -d 'Only those that failed'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "request" -d 'Send one real request and show every decision'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "list" -d 'List recent requests and connections'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "get" -d 'Show one recorded trace again'
complete -c meshctl -n "__fish_meshctl_using_subcommand trace; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l since -d 'Only those of this last time' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l severity -d 'Only those at least this bad' -r -f -a "info\t''
warning\t''
error\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s f -l follow -d 'Go on with new ones, until Ctrl-C'
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand events" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -f -a "rules" -d 'Tables, chains, policy rules and routes of ours, as their programs print them'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -f -a "ebpf" -d 'Programs of ours: where they sit, how often they ran, who else is there'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and not __fish_seen_subcommand_from rules ebpf help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from rules" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from ebpf" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from help" -f -a "rules" -d 'Tables, chains, policy rules and routes of ours, as their programs print them'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from help" -f -a "ebpf" -d 'Programs of ours: where they sit, how often they ran, who else is there'
complete -c meshctl -n "__fish_meshctl_using_subcommand debug; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand metrics" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s f -l file -d 'Manifest file, folder of them, or - for standard input (repeatable)' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l set -d 'Name of the set these manifests make up' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l prune -d 'Delete objects of the set that the manifests no longer contain'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand apply" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s f -l file -d 'Manifest file, folder of them, or - for standard input (repeatable)' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand diff" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand get" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand ls" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand describe" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l must-exist -d 'Fail (exit 5) when there is nothing to delete'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand delete" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l for -d 'The state: exists, ready (an endpoint is), healthy (all are), live (on every node), deleted, or jsonpath=EXPR[=VALUE]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l timeout -d 'Longest wait, 0 for no limit [default: 60s]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l any -d 'One of them is enough'
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand wait" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l at -d 'As it was at this generation [default: now]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand export" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l limit -d 'Newest N only' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l diff -d 'Show what each change did to the objects'
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand history" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l to -d 'Return to the state after this change' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l dry-run -d 'Say what would change, and change nothing' -r -f -a "server\t''
client\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l reason -d 'Kept in the history' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l if-generation -d 'Refuse (exit 6) when the mesh is no longer at this generation' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l timeout -d 'Longest time one call to meshd may take, 0 for no limit [default: 30s] [env: MESHCTL_TIMEOUT=]' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -s o -l output -d 'How the answer is written' -r -f -a "table\t''
wide\t''
json\t''
yaml\t''
name\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l jq -d 'Filter the JSON answer with a jq expression' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l color -d 'When to colour; NO_COLOR and CLICOLOR_FORCE are honoured' -r -f -a "auto\t''
always\t''
never\t''"
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l socket -d 'API socket of meshd [default: /run/meshd/meshd.sock]' -r -F
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -s n -l namespace -d 'Namespace of the names given' -r
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l no-wait -d 'Return once stored, before every worker uses it'
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -l no-headers -d 'Tables without their header line'
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -s q -l quiet -d 'Print nothing on success; errors are still printed'
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -s v -l verbose -d 'Say more, on standard error'
complete -c meshctl -n "__fish_meshctl_using_subcommand undo" -s h -l help -d 'Print help'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "install" -d 'Install meshd on this host; confirmed over SSH, else rolled back'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "uninstall" -d 'Remove everything install created, then prove nothing is left'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "check" -d 'Test this host (--pre) or the running mesh'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "status" -d 'Show daemon, capture, traffic and problems on one screen'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "demo" -d 'Show the mesh at work, then remove every trace of it'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "completion" -d 'Set up shell completion'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "version" -d 'Show the versions of meshctl and meshd'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "schema" -d 'Print the JSON Schema of a kind'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "lint" -d 'Validate manifests offline'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "explain" -d 'Explain a kind, a field, an error code, or what happens to a process\'s traffic'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "env" -d 'Show settings in force and their origin'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "register" -d 'Declare an endpoint of a service (upsert)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "deregister" -d 'Remove an endpoint (or the service with --all)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "run" -d 'Run one command inside the mesh'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "attach" -d 'Bring a PID, systemd unit, container or user into the mesh (new connections only)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "detach" -d 'Take a PID, systemd unit, container or user out of the mesh again'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "route" -d 'Set match rules, timeouts and retries of a service'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "split" -d 'Set the weights of a service\'s subsets'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "bypass" -d 'Let traffic go direct for a time, not through meshd'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "top" -d 'Watch services, their subsets and endpoints live'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "stat" -d 'Show traffic, success and latency of services'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "trace" -d 'Send one real request, or show recorded ones, with every decision'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "events" -d 'Show what happened: capture, health, settings'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "debug" -d 'Show what capture has installed in the kernel'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "metrics" -d 'Print Prometheus metrics'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "apply" -d 'Apply manifests, all of them or none'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "diff" -d 'Show how the mesh differs from manifests (exit 1 if it does)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "get" -d 'Show objects: services, routes, runs, attachments'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "describe" -d 'Show one object with all that is known about it'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "delete" -d 'Delete objects'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "wait" -d 'Wait until objects are in a state (exit 124 if they are not in time)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "export" -d 'Print the declared state as manifests'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "history" -d 'Show every change with author, command line and difference'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "undo" -d 'Revert the newest change, change N, or everything after N'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and not __fish_seen_subcommand_from install uninstall check status demo completion version schema lint explain env register deregister run attach detach route split bypass top stat trace events debug metrics apply diff get describe delete wait export history undo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "request" -d 'Send one real request and show every decision'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "list" -d 'List recent requests and connections'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and __fish_seen_subcommand_from trace" -f -a "get" -d 'Show one recorded trace again'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and __fish_seen_subcommand_from debug" -f -a "rules" -d 'Tables, chains, policy rules and routes of ours, as their programs print them'
complete -c meshctl -n "__fish_meshctl_using_subcommand help; and __fish_seen_subcommand_from debug" -f -a "ebpf" -d 'Programs of ours: where they sit, how often they ran, who else is there'
