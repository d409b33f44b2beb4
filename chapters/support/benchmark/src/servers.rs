//! The servers that are measured, and how each is started.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use testkit::{Program, Running, TempDir, eventually, free_port, http, temp_dir};

/// How long a server may take until all its workers are there.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Longer than any measurement: testkit ends a program after its limit.
const RUN_LIMIT: Duration = Duration::from_secs(3600);

/// A server that answers `GET /` with one line that has its worker's process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Chapter 7 with this `--sharing`.
    Cluster(&'static str),
    /// Chapter 5: a connection has one request.
    Chapter5,
    /// nginx, which returns the line from its configuration.
    Nginx,
    /// Node's `cluster` module.
    Node,
}

/// All, in the order of the tables.
pub const SERVERS: [Server; 6] = [
    Server::Cluster("shared"),
    Server::Cluster("round-robin"),
    Server::Cluster("reuseport"),
    Server::Chapter5,
    Server::Nginx,
    Server::Node,
];

/// Where the programs are.
#[derive(Debug)]
pub struct Programs {
    /// The directory of the chapters' programs.
    pub ours: PathBuf,
    /// What is not installed is not measured.
    pub nginx: Option<PathBuf>,
    pub node: Option<PathBuf>,
}

/// A server that runs. It is killed with all its processes when this is dropped.
pub struct Started {
    pub running: Running,
    pub addr: SocketAddr,
    _files: TempDir,
}

impl Server {
    /// Its name in tables and plots.
    pub fn name(self) -> &'static str {
        match self {
            Server::Cluster(sharing) => sharing,
            Server::Chapter5 => "chapter 5",
            Server::Nginx => "nginx",
            Server::Node => "Node",
        }
    }

    /// Whether it keeps connections for further requests.
    pub fn keeps_connections(self) -> bool {
        self != Server::Chapter5
    }

    /// Whether its program is there.
    pub fn is_installed(self, programs: &Programs) -> bool {
        match self {
            Server::Nginx => programs.nginx.is_some(),
            Server::Node => programs.node.is_some(),
            _ => true,
        }
    }

    /// Starts it with `workers` workers, each of which can have `connections`
    /// connections, and blocks until it answers.
    ///
    /// # Errors
    /// If it does not answer as it should.
    pub fn start(
        self,
        programs: &Programs,
        workers: usize,
        connections: usize,
    ) -> anyhow::Result<Started> {
        let files = temp_dir();
        let mut addr = None;
        let program = match self {
            Server::Cluster(sharing) => {
                Program::new(programs.ours.join("ch07-cluster"))
                    .args(["--port", "0", "--sharing", sharing])
                    .args(["--workers", &workers.to_string()])
            }
            Server::Chapter5 => Program::new(programs.ours.join("ch05-restart"))
                .args(["--port", "0", "--workers", &workers.to_string()])
                // As in the article, a worker fails after its first answer. Not here.
                .args(["--crash-after", "0"]),
            Server::Nginx => {
                let port = free_port();
                addr = Some(SocketAddr::from(([127, 0, 0, 1], port)));
                let text = nginx_configuration(&files, port, workers, connections);
                let path = files.write("nginx.conf", text);
                Program::new(programs.nginx.as_ref().context("no nginx")?)
                    .arg("-c")
                    .arg(path)
            }
            Server::Node => {
                let script = files.write("cluster.js", include_str!("cluster.js"));
                // Not port 0: if all workers are dead, Node closes the listener, and
                // would take another port for the next worker.
                let port = free_port();
                Program::new(programs.node.as_ref().context("no node")?)
                    .arg(script)
                    .args([workers.to_string(), port.to_string()])
            }
        };
        let running = program.limit(RUN_LIMIT).start();
        let addr = addr.unwrap_or_else(|| running.addr());
        let name = self.name();
        eventually(&format!("{name}: it answers"), START_LIMIT, || {
            running.children().len() == workers && http::get(addr).is_ok()
        });
        let response = http::get(addr).with_context(|| format!("{name}: GET /"))?;
        ensure!(
            response.status == 200 && testkit::pid_in(&response.body).is_some(),
            "{name} gives the wrong answer: {response:?}"
        );
        Ok(Started { running, addr, _files: files })
    }
}

fn nginx_configuration(
    files: &TempDir,
    port: u16,
    workers: usize,
    connections: usize,
) -> String {
    let folder = files.path().display();
    // The file limit is for each worker: its connections, and some files.
    let files = connections + 64;
    format!(
        "daemon off;
worker_processes {workers};
worker_rlimit_nofile {files};
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      default_type text/plain;
      return 200 \"handled by child, pid is $pid\\n\";
    }}
  }}
}}
"
    )
}
