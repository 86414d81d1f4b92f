# SPDX-License-Identifier: Apache-2.0
# sh -eu modules.sh: the npm packages that package-lock.json names; Node.js itself is one of them. Debian's npm brings
# them in; where some npm is there already, Debian's is not asked for, because other vendors' packages conflict with it.
command -v npm >/dev/null || sh -eu ops/setup/install.sh nodejs npm ca-certificates

# No package here needs an install script, so none may run. --include: whatever NODE_ENV and ~/.npmrc say.
npm ci --ignore-scripts --include=dev --include=optional --no-audit --no-fund
