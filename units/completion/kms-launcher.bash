# bash completion for kms-launcher

_kms_launcher_services() {
    # The names of the configured services, from the keys that print-config shows.
    kms-launcher print-config --offline 2>/dev/null |
        sed -n 's/^service\.\([a-z0-9_-]*\)\..*/\1/p' | sort -u
}

_kms_launcher() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="run check print-config status health evidence log-level probe poll version help"
    local command=run at places=0 options=""
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            --config | -c | --log | --socket | --url | --timeout | --for | --every | --count | \
                --concurrency | --ca-file | --expect-status | --expect-body) ((at++)) ;;
            -*) ;;
            *) if ((places++ == 0)); then command=${COMP_WORDS[at]}; fi ;;
        esac
    done

    case $previous in
        --config | -c | --ca-file | --socket)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            return
            ;;
        --log)
            mapfile -t COMPREPLY < <(compgen -W "error warn info debug trace off" -- "$word")
            return
            ;;
        --url | --timeout | --for | --every | --count | --concurrency | --expect-status | --expect-body)
            return
            ;;
    esac

    case $command in
        run) options="--config --log --allow-watchdog --pdeathsig" ;;
        check | print-config) options="--config --log --offline --json" ;;
        status) options="--json --socket --url --config --timeout" ;;
        health) options="--ready --socket --url --config --timeout" ;;
        evidence) options="--last --list --json --socket --config --timeout" ;;
        log-level) options="--reset --socket --config --timeout" ;;
        probe) options="--timeout --expect-status --expect-body --insecure --ca-file --json" ;;
        poll) options="--for --every --timeout --count --concurrency --insecure --ca-file --json --quiet" ;;
        version) options="--json" ;;
    esac

    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
    elif ((places == 0)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    elif [[ $command == help && $places -eq 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    elif [[ $command == evidence && $places -eq 1 || $command == log-level && $places -eq 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_kms_launcher_services)" -- "$word")
    elif [[ $command == log-level && $places -eq 2 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "error warn info debug trace off" -- "$word")
    elif [[ ($command == probe || $command == poll) && $places -eq 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "http:// https:// http-auto:// tcp:// tls:// unix:/" -- "$word")
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _kms_launcher kms-launcher
