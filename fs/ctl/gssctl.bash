# bash completion for gssctl(1)

_gssctl_mounts()
{
	# Blanks and the like are written as octal escapes in mountinfo.
	local IFS=$' \t\n' line words path
	while read -r line; do
		words=($line)
		[[ $line == *" - fuse.gssfs "* ]] && printf -v path '%b' "${words[4]}" && printf '%q\n' "$path"
	done </proc/self/mountinfo
}

_gssctl()
{
	local verbs='login status flush register images retry discard refresh uri path umount'
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]-} options= words=
	local IFS=$' \t\n'

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W "$verbs --help --version" -- "$cur"))
		return
	fi
	case $verb in
	login) options='--user --project --token --config --mount --no-mounts' ;;
	status) options='--watch --json' ;;
	flush) options='--timeout --json' ;;
	register) options='--as --on --mount --new --update --json' ;;
	images) options='--on --mount --yes --json' words='ls info rm' ;;
	discard) options='--yes' ;;
	path) options='--mount' ;;
	umount) options='--now --timeout' ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options --help" -- "$cur"))
		return
	fi
	case $verb in
	images) ((COMP_CWORD > 2)) || COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
	umount) local IFS=$'\n'; COMPREPLY=($(compgen -W "$(_gssctl_mounts)" -- "$cur")) ;;
	login | path) ;;
	*)
		# Files, as bash itself offers them.
		compopt -o filenames 2>/dev/null
		local IFS=$'\n'
		COMPREPLY=($(compgen -f -- "$cur"))
		;;
	esac
} &&
	complete -F _gssctl gssctl
