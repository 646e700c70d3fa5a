# bash completion for gssctl(1)

_gssctl_mounts()
{
	# Blanks and the like are written as octal escapes in mountinfo.
	local IFS=$' \t\n' line words
	while read -r line; do
		words=($line)
		[[ $line == *" - fuse.gssfs "* ]] && printf '%b\n' "${words[4]}"
	done </proc/self/mountinfo
}

# Those of the words on standard input, a line each, that begin with what is typed; quoted.
_gssctl_words()
{
	local word typed=${1//\\/}
	typed=${typed#[\"\']}
	COMPREPLY=()
	while IFS= read -r word; do
		[[ $word == "$typed"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
	done
}

_gssctl_storages()
{
	local mount kind uri
	while IFS= read -r mount; do
		while IFS=$'\t' read -r kind uri _; do
			[[ $kind == cache ]] && printf '%s\n' "${uri%%://*}"
		done <"$mount/.status"
	done 2>/dev/null < <(_gssctl_mounts)
}

_gssctl_images()
{
	local mount image
	while IFS= read -r mount; do
		for image in "$mount"/.images/* "$mount"/*/.images/*; do
			[[ -e $image ]] && printf '%s\n' "${image##*/}"
		done
	done 2>/dev/null < <(_gssctl_mounts)
}

# The last of several, parted by commas.
_gssctl_on()
{
	local given=
	[[ $1 == *,* ]] && given=${1%,*},
	COMPREPLY=($(compgen -W "$(_gssctl_storages | sort -u | sed "s/^/$given/")" -- "$1"))
	compopt -o nospace 2>/dev/null
}

_gssctl_files()
{
	# As bash itself offers them.
	compopt -o filenames 2>/dev/null
	local IFS=$'\n'
	COMPREPLY=($(compgen -f -- "$1"))
}

_gssctl()
{
	local verbs='login status flush register images retry discard refresh uri path umount'
	local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]-}
	local options= IFS=$' \t\n'

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W "$verbs help --help --version" -- "$cur"))
		return
	fi
	case $before in
	--on) _gssctl_on "$cur"; return ;;
	--mount | -m) _gssctl_words "$cur" < <(_gssctl_mounts); return ;;
	--config) _gssctl_files "$cur"; return ;;
	--as | --user | --project | --timeout | -u | -p | -t)
		# Login's -t asks for a token, and takes no value.
		[[ $verb == login && $before == -t ]] || return
		;;
	esac
	case $verb in
	login) options='--user --project --token --config --mount --no-mounts' ;;
	status) options='--watch --json' ;;
	flush) options='--timeout --json' ;;
	register) options='--as --on --mount --new --update --json' ;;
	images) options='--on --mount --yes --json' ;;
	discard) options='--yes' ;;
	path) options='--mount' ;;
	umount) options='--now --timeout' ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options --help" -- "$cur"))
		return
	fi
	case $verb in
	help) ((COMP_CWORD > 2)) || COMPREPLY=($(compgen -W "$verbs" -- "$cur")) ;;
	images)
		if [[ $before == rm || $before == info ]]; then
			_gssctl_words "$cur" < <(_gssctl_images)
		elif [[ " ${COMP_WORDS[*]:2:COMP_CWORD-2} " != *" "@(ls|info|rm)" "* ]]; then
			COMPREPLY=($(compgen -W 'ls info rm' -- "$cur"))
		fi
		;;
	umount) _gssctl_words "$cur" < <(_gssctl_mounts) ;;
	login | path) ;;
	*) _gssctl_files "$cur" ;;
	esac
}

# bash breaks words at colons and the like (COMP_WORDBREAKS), and replaces what is behind the last
# break: here words are what blanks part, and OPTION= is one before its value.
_gssctl_complete()
{
	local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} rest piece option= broken= i
	local -a words=()

	for ((i = 0; i <= COMP_CWORD; i++)); do
		rest=${line#"${line%%[![:blank:]]*}"} piece=${COMP_WORDS[i]}
		((i < COMP_CWORD)) || piece=$rest
		if ((i > 0)) && [[ $rest == "$line" ]]; then
			broken=${words[-1]}
			[[ ${piece//[$COMP_WORDBREAKS]} ]] || broken+=$piece
			words[-1]+=$piece
		else
			words+=("$piece") broken=
		fi
		line=${rest#"$piece"}
	done
	if [[ ${words[-1]} == --*=* ]]; then
		option=${words[-1]%%=*}=
		words=("${words[@]:0:${#words[@]}-1}" "${option%=}" "${words[-1]#"$option"}")
	fi
	local -a COMP_WORDS=("${words[@]}")
	local COMP_CWORD=$((${#words[@]} - 1))
	_gssctl
	for i in "${!COMPREPLY[@]}"; do
		piece=$option${COMPREPLY[i]}
		COMPREPLY[i]=${piece#"$broken"}
	done
} &&
	complete -F _gssctl_complete gssctl
