# fish completion for kms-launcher

set -l commands run check print-config status health evidence log-level probe poll version help
set -l reads run check print-config
set -l asks status health evidence log-level

function __kms_launcher_services
    kms-launcher print-config --offline 2>/dev/null | string replace -rf '^service\.([a-z0-9_-]+)\..*' '$1' | sort -u
end

# How many words stand after the command, the one at work left out.
function __kms_launcher_place
    set -l words (commandline -opc)
    set -l plain
    for word in $words[2..-1]
        string match -q -- '-*' $word; or set -a plain $word
    end
    test (count $plain) -eq $argv[1]
end

complete -c kms-launcher -f
complete -c kms-launcher -l help -d 'options of the command'

complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a run -d 'start the services'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a check -d 'report every mistake of the configuration'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a print-config -d 'every key with value and origin'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a status -d 'what a running launcher knows'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a health -d 'is all well? exit status 0 or 1'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a evidence -d 'what was recorded about freezes'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a log-level -d 'change the log filter of a service'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a probe -d 'ask a service once'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a poll -d 'ask again and again'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a version -d 'print the version'
complete -c kms-launcher -n "not __fish_seen_subcommand_from $commands" -a help -d 'what the commands are'

complete -c kms-launcher -n "__fish_seen_subcommand_from $reads $asks; or not __fish_seen_subcommand_from $commands" -s c -l config -r -F -d 'configuration file'
complete -c kms-launcher -n "__fish_seen_subcommand_from $reads; or not __fish_seen_subcommand_from $commands" -l log -x -a 'error warn info debug trace off' -d 'what is logged'
complete -c kms-launcher -n "__fish_seen_subcommand_from run; or not __fish_seen_subcommand_from $commands" -l allow-watchdog -d 'run although a watchdog is expected to be fed'
complete -c kms-launcher -n "__fish_seen_subcommand_from run; or not __fish_seen_subcommand_from $commands" -l pdeathsig -d 'end with the process that started the launcher'
complete -c kms-launcher -n '__fish_seen_subcommand_from check print-config' -l offline -d 'look at nothing but the configuration'
complete -c kms-launcher -n '__fish_seen_subcommand_from check print-config status evidence probe poll version' -l json -d 'for machines'
complete -c kms-launcher -n "__fish_seen_subcommand_from $asks" -l socket -r -F -d 'unix socket of the health endpoint'
complete -c kms-launcher -n '__fish_seen_subcommand_from status health' -l url -x -a 'http:// https://' -d 'health endpoint'
complete -c kms-launcher -n '__fish_seen_subcommand_from status health evidence log-level probe poll' -l timeout -x -d 'span such as 3s'
complete -c kms-launcher -n '__fish_seen_subcommand_from health' -l ready -d 'ask for readiness'
complete -c kms-launcher -n '__fish_seen_subcommand_from evidence' -l last -d 'the newest only'
complete -c kms-launcher -n '__fish_seen_subcommand_from evidence' -l list -d 'only which there are'
complete -c kms-launcher -n '__fish_seen_subcommand_from log-level' -l reset -d 'bring back the filter of the configuration'
complete -c kms-launcher -n '__fish_seen_subcommand_from evidence log-level; and __kms_launcher_place 1' -a '(__kms_launcher_services)'
complete -c kms-launcher -n '__fish_seen_subcommand_from log-level; and __kms_launcher_place 2' -a 'error warn info debug trace off'
complete -c kms-launcher -n '__fish_seen_subcommand_from probe poll; and __kms_launcher_place 1' -a 'http:// https:// http-auto:// tcp:// tls:// unix:/'
complete -c kms-launcher -n '__fish_seen_subcommand_from probe poll' -l insecure -d 'check no certificate'
complete -c kms-launcher -n '__fish_seen_subcommand_from probe poll' -l ca-file -r -F -d 'CA certificates'
complete -c kms-launcher -n '__fish_seen_subcommand_from probe' -l expect-status -x -d 'such as 200,404'
complete -c kms-launcher -n '__fish_seen_subcommand_from probe' -l expect-body -x -d 'the body equals this text'
complete -c kms-launcher -n '__fish_seen_subcommand_from poll' -l for -x -d 'span of the run, such as 10m'
complete -c kms-launcher -n '__fish_seen_subcommand_from poll' -l every -x -d 'span between polls'
complete -c kms-launcher -n '__fish_seen_subcommand_from poll' -l count -x -d 'number of polls'
complete -c kms-launcher -n '__fish_seen_subcommand_from poll' -l concurrency -x -d 'number of workers'
complete -c kms-launcher -n '__fish_seen_subcommand_from poll' -l quiet -d 'no progress'
complete -c kms-launcher -n '__fish_seen_subcommand_from help; and __kms_launcher_place 1' -a "$commands"
