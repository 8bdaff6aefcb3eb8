"""What `flycast-lab COMMAND --help` ends with: commands to try, by command."""

EXAMPLES = {
    "": """\
examples:
  flycast-lab demo                                  the whole idea in under a minute
  flycast-lab run -- curl -s http://private-svc.flycast
  flycast-lab run --scale ams=2,cdg=1 -- bash       look around on a shell Machine
  flycast-lab up                                    stay up; then, from another terminal:
  flycast-lab shell                                 a shell on a shell Machine
  flycast-lab exec -- dig +short aaaa private-svc.flycast
  flycast-lab status --watch                        who sleeps and who wakes, live
  flycast-lab run --laptop -- dig +short txt _apps.internal       through a WireGuard tunnel
  flycast-lab doctor                                what this host allows
""",
    "run": """\
examples:
  flycast-lab run -- curl -s http://private-svc.flycast
  flycast-lab run --command 'python3 -m http.server --bind :: 8080' -- curl -sI http://private-svc.flycast
  flycast-lab run --autostop-interval 1 -- flycast-probe wake private-svc
  flycast-lab run --laptop -- curl -s http://private-svc.flycast
  flycast-lab run --image localhost/private-svc -- curl -s http://private-svc.flycast
  ADMIN_TOKEN=… flycast-lab run --secret ADMIN_TOKEN -- flycast-probe wake private-svc --sleep
  flycast-lab run --org other=shop/fly.toml --flycast-in shop=personal -- curl -s http://shop.flycast
""",
    "exec": """\
examples:
  flycast-lab exec -- ping -c2 private-svc.flycast
  flycast-lab exec --machine 2ea7d1a3f866fb -- curl -sI http://localhost:8080
""",
    "shell": """\
examples:
  flycast-lab shell                                 bash on a shell Machine, else sh
  flycast-lab shell --machine 2ea7d1a3f866fb -- top
""",
    "laptop": """\
examples:
  flycast-lab up --laptop                           a laptop on the internet, its tunnel up
  flycast-lab exec --laptop -- curl -s http://private-svc.flycast
  flycast-lab wireguard create personal ams my-laptop my-laptop.conf
  flycast-lab wireguard list personal
  flycast-lab wireguard remove personal my-laptop
""",
    "fault": """\
examples:
  flycast-lab fault lost-dns=30 slow-bind=3
  flycast-lab fault lost-dns=off
""",
    "machine": """\
examples:
  flycast-lab machine list
  flycast-lab machine suspend 2ea7d1a3f866fb        the next request resumes it
  flycast-lab machine stop 2ea7d1a3f866fb           what a suspended one kept is given up
""",
}
