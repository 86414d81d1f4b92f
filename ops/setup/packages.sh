# SPDX-License-Identifier: Apache-2.0
# sh -eu packages.sh: the Debian packages of packages.txt.
# shellcheck disable=SC2046 # a list of words
sh -eu ops/setup/install.sh $(cat ops/setup/packages.txt)
