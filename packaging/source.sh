# SPDX-License-Identifier: Apache-2.0
# Included by deb.sh and rpm.sh: lays out the source of a package. To be run from the top of the sources.
#   lay_out DIRECTORY VERSION ARCHIVE   makes DIRECTORY/objpool-VERSION, and DIRECTORY/ARCHIVE of it (.tar.gz)

in_checkout() {
	[ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]
}

# In a checkout what git tracks, as it is now; elsewhere all but what has been built.
sources() {
	if in_checkout; then
		git ls-files -z
	else
		find . -maxdepth 1 ! -name . ! -name 'build*' -print0
	fi
}

date_of_sources() {
	if in_checkout; then
		git log -1 --format=%ct
	else
		stat -c %Y CHANGELOG.md
	fi
}

# SOURCE_DATE_EPOCH makes packages of the same sources the same.
lay_out() {
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date_of_sources)}
	export SOURCE_DATE_EPOCH
	rm -rf "${1:?}/objpool-$2"
	mkdir -p "$1/objpool-$2"
	sources | tar --null --files-from=- --ignore-failed-read -c | tar -C "$1/objpool-$2" -x
	tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s \
		-czf "$1/$3" "objpool-$2"
}
