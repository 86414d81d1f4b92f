# SPDX-License-Identifier: Apache-2.0
# Sessions that nobody uses are gone after seconds: 4 s, a quarter of it, and 5 s.
/^    protocol: tcp/a\
    timeouts: { handshake: 4s, established: 4s, closed: 4s, reset: 2s }
/^    protocol: udp/a\
    timeouts: { handshake: 4s, established: 4s }
