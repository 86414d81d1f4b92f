# SPDX-License-Identifier: Apache-2.0
# More services, at the end, for a look at single packets: iperf3 (its connections must meet one machine), and a range of
# ports on which nobody listens.
$a\
\
  - name: iperf\
    vip: 192.0.2.10\
    port: 5201\
    protocol: tcp\
    health: { type: none }\
    servers:\
      - { address: 10.3.1.2, port: 5201, weight: 1 }\
\
  - name: iperf-udp\
    vip: 192.0.2.10\
    port: 5201\
    protocol: udp\
    servers:\
      - { address: 10.3.1.2, port: 5201, weight: 1 }\
\
  - name: trace\
    vip: 192.0.2.10\
    ports: 44000-44999\
    protocol: udp\
    servers:\
      - { address: 10.3.1.2, weight: 1 }\
      - { address: 10.3.2.2, weight: 1 }\
      - { address: 10.3.3.2, weight: 1 }\
\
  - name: iperf6\
    vip: 2001:db8:ffff::10\
    port: 5201\
    protocol: tcp\
    health: { type: none }\
    servers:\
      - { address: 2001:db8:3:1::2, port: 5201, weight: 1 }\
\
  - name: iperf-udp6\
    vip: 2001:db8:ffff::10\
    port: 5201\
    protocol: udp\
    servers:\
      - { address: 2001:db8:3:1::2, port: 5201, weight: 1 }\
\
  - name: trace6\
    vip: 2001:db8:ffff::10\
    ports: 44000-44999\
    protocol: udp\
    servers:\
      - { address: 2001:db8:3:1::2, weight: 1 }\
      - { address: 2001:db8:3:2::2, weight: 1 }\
      - { address: 2001:db8:3:3::2, weight: 1 }
