//! What is measured. Each section goes round by round, and in each round from server
//! to server, so that all of them see the machine's better and worse moments.

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    client::{Idle, kill_the_only_worker, kill_under_load},
    plot::Plot,
    processes::{cpu_of, worker_memory},
    progress::Progress,
    results::{Results, Sample},
    servers::{Programs, SERVERS, Server, Started},
    table::Figure,
    wrk::{Mode, wrk},
};

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    pub rounds: usize,
    /// How long wrk runs each time.
    pub seconds: u64,
    pub workers: usize,
    /// wrk's threads and connections.
    pub threads: usize,
    pub connections: usize,
    /// wrk's script.
    pub script: std::path::PathBuf,
}

/// The sections, in their order: name, title, and what is shown of it.
pub const SECTIONS: [Section; 9] = [
    Section {
        name: "keep-alive",
        title: "Many requests on a connection",
        show: Show::Table(&THROUGHPUT, Compare::Others),
        measure: keep_alive,
    },
    Section {
        name: "close",
        title: "A connection for each request",
        show: Show::Table(&THROUGHPUT, Compare::Others),
        measure: close,
    },
    Section {
        name: "keep-alive-threads",
        title: "Many requests on a connection, a thread of wrk for each worker",
        show: Show::Table(&THREADS, Compare::Others),
        measure: keep_alive_threads,
    },
    Section {
        name: "close-threads",
        title: "A connection for each request, a thread of wrk for each worker",
        show: Show::Table(&THREADS, Compare::Others),
        measure: close_threads,
    },
    Section {
        name: "kill",
        title: "kill -9 of a worker",
        show: Show::Table(&DEATH, Compare::Nothing),
        measure: kill,
    },
    Section {
        name: "spread",
        title: "How connections are spread over 4 workers",
        show: Show::Table(&SPREAD, Compare::Nothing),
        measure: spread,
    },
    Section {
        name: "workers",
        title: "More workers",
        show: Show::Plots(&[Plot {
            section: "workers",
            figure: "rate",
            across: "workers",
            up: "requests/s",
        }]),
        measure: workers,
    },
    Section {
        name: "connections",
        title: "More connections at work",
        show: Show::Plots(&[Plot {
            section: "connections",
            figure: "rate",
            across: "connections",
            up: "requests/s",
        }]),
        measure: connections,
    },
    Section {
        name: "idle",
        title: "Idle connections beside a client that works",
        show: Show::Plots(&[
            Plot {
                section: "idle",
                figure: "cpu",
                across: "idle connections",
                up: "CPU time of a request, µs",
            },
            Plot {
                section: "idle",
                figure: "p99",
                across: "idle connections",
                up: "p99, µs",
            },
        ]),
        measure: idle,
    },
];

/// A part of the benchmark.
#[derive(Clone, Copy)]
pub struct Section {
    pub name: &'static str,
    pub title: &'static str,
    pub show: Show,
    pub measure: fn(&mut Run<'_>) -> anyhow::Result<()>,
}

/// Whether a table is followed by others, with ratios.
#[derive(Clone, Copy, PartialEq)]
pub enum Compare {
    /// Ratios to nginx and to Node.
    Others,
    Nothing,
}

/// How a section's results are shown.
#[derive(Clone, Copy)]
pub enum Show {
    Table(&'static [Figure], Compare),
    Plots(&'static [Plot]),
}

const fn figure(name: &'static str, head: &'static str, digits: usize) -> Figure {
    Figure { name, head, digits }
}

const THROUGHPUT: [Figure; 8] = [
    figure("rate", "requests/s", 0),
    figure("p50", "p50, µs", 0),
    figure("p99", "p99, µs", 0),
    figure("p999", "p99.9, µs", 0),
    figure("cpu", "CPU time of a request, µs", 1),
    figure("client", "wrk uses of a CPU, %", 0),
    figure("memory", "memory of a worker, MB", 2),
    figure("errors", "errors", 0),
];

const THREADS: [Figure; 5] = [
    figure("rate", "requests/s", 0),
    figure("p99", "p99, µs", 0),
    figure("cpu", "CPU time of a request, µs", 1),
    figure("client", "wrk uses of a CPU, %", 0),
    figure("errors", "errors", 0),
];

const DEATH: [Figure; 4] = [
    figure("next", "to the next answer, ms", 1),
    figure("held", "held by the killed worker", 0),
    figure("lost", "requests lost", 0),
    figure("slowest", "slowest answer, ms", 1),
];

const SPREAD: [Figure; 4] = [
    figure("least", "least of 1,000 long connections", 0),
    figure("most", "most", 0),
    figure("least-load", "least of 10,000 short ones, %", 1),
    figure("most-load", "most, %", 1),
];

const WORKERS: [usize; 5] = [1, 2, 4, 8, 16];
const CONNECTIONS: [usize; 5] = [1, 10, 100, 1000, 10_000];
const IDLE: [usize; 5] = [0, 10, 100, 1000, 10_000];

/// A worker of nginx has memory for this many connections from its start. It has its
/// default where that is enough.
const FEW: usize = 1024;
const MANY: usize = 16_384;

/// A run: what it needs, and what it has measured.
pub struct Run<'a> {
    pub settings: &'a Settings,
    pub programs: &'a Programs,
    pub results: Results,
    pub progress: Progress,
}

/// Which value it is.
#[derive(Clone, Copy)]
struct Place {
    section: &'static str,
    server: Server,
    size: usize,
    round: usize,
}

impl Run<'_> {
    fn add(&mut self, place: Place, values: &[(&'static str, f64)]) {
        for &(figure, value) in values {
            self.results.samples.push(Sample {
                section: place.section.to_owned(),
                server: place.server.name().to_owned(),
                size: place.size,
                round: place.round,
                figure: figure.to_owned(),
                value,
            });
        }
    }

    fn installed(&self) -> Vec<Server> {
        let mut servers = SERVERS.to_vec();
        servers.retain(|it| it.is_installed(self.programs));
        servers
    }

    /// Those that keep connections for further requests.
    fn that_keep(&self) -> Vec<Server> {
        let mut servers = self.installed();
        servers.retain(|it| it.keeps_connections());
        servers
    }

    /// Those that keep connections, for plots one of each kind.
    fn one_of_each(&self) -> Vec<Server> {
        let mut servers = self.installed();
        servers.retain(|&it| match it {
            Server::Cluster(sharing) => sharing == "shared",
            it => it.keeps_connections(),
        });
        servers
    }

    /// Lets wrk run, and measures the server meanwhile.
    fn load(
        &mut self,
        place: Place,
        server: &Started,
        mode: Mode,
        client: (usize, usize),
    ) -> anyhow::Result<()> {
        let Settings { script, seconds, .. } = self.settings;
        let before = cpu_of(&server.running);
        let seen = wrk(script, server.addr, mode, client, *seconds)?;
        let used = cpu_of(&server.running) - before;
        let figures = [
            ("rate", seen.per_second),
            ("p50", seen.p50),
            ("p99", seen.p99),
            ("p999", seen.p999),
            ("cpu", used.as_secs_f64() * 1e6 / seen.requests),
            ("client", seen.cpu),
            ("memory", worker_memory(&server.running)),
            ("errors", seen.errors),
        ];
        self.add(place, &figures);
        Ok(())
    }

    /// Starts these servers, lets each warm up, and then goes round by round.
    fn throughput(
        &mut self,
        section: &'static str,
        servers: Vec<Server>,
        mode: Mode,
        threads: usize,
    ) -> anyhow::Result<()> {
        let Settings { rounds, workers, connections, .. } = *self.settings;
        let client = (threads, connections);
        self.progress.expect(servers.len() * rounds);
        let mut started = Vec::new();
        for &server in &servers {
            let running = server.start(self.programs, workers, FEW)?;
            wrk(&self.settings.script, running.addr, mode, client, 1)?;
            started.push((server, running));
        }
        for round in 0..rounds {
            // Each round begins with another server.
            started.rotate_left(1);
            for (server, running) in &started {
                self.progress.step(round, server.name());
                let place = Place { section, server: *server, size: 0, round };
                self.load(place, running, mode, client)?;
            }
        }
        Ok(())
    }

    /// Growth is measured in fewer rounds: it is about the shape.
    fn few_rounds(&self) -> usize {
        self.settings.rounds.min(3)
    }
}

fn keep_alive(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, threads) = (run.that_keep(), run.settings.threads);
    run.throughput("keep-alive", servers, Mode::KeepAlive, threads)
}

fn close(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, threads) = (run.installed(), run.settings.threads);
    run.throughput("close", servers, Mode::Close, threads)
}

fn keep_alive_threads(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, threads) = (run.that_keep(), run.settings.workers);
    run.throughput("keep-alive-threads", servers, Mode::KeepAlive, threads)
}

fn close_threads(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, threads) = (run.installed(), run.settings.workers);
    run.throughput("close-threads", servers, Mode::Close, threads)
}

fn kill(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, rounds) = (run.installed(), run.settings.rounds);
    run.progress.expect(servers.len() * rounds);
    for round in 0..rounds {
        for &server in &servers {
            run.progress.step(round, server.name());
            let alone = server.start(run.programs, 1, FEW)?;
            let next = kill_the_only_worker(&alone).context(server.name())?;
            drop(alone);
            let both = server.start(run.programs, 2, FEW)?;
            let death = kill_under_load(&both).context(server.name())?;
            let place = Place { section: "kill", server, size: 0, round };
            let figures = [
                ("next", milliseconds(next)),
                ("held", death.held as f64),
                ("lost", death.lost as f64),
                ("slowest", milliseconds(death.slowest)),
            ];
            run.add(place, &figures);
        }
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn spread(run: &mut Run<'_>) -> anyhow::Result<()> {
    const COUNT: usize = 4;
    let (servers, rounds) = (run.installed(), run.few_rounds());
    run.progress.expect(servers.len() * rounds);
    for round in 0..rounds {
        for &server in &servers {
            run.progress.step(round, server.name());
            let place = Place { section: "spread", server, size: 0, round };
            let running = server.start(run.programs, COUNT, FEW)?;
            if server.keeps_connections() {
                let mut long = Idle::default();
                long.open(running.addr, 1000)?;
                let (least, most) =
                    extremes(COUNT, long.by_worker.values().map(|&it| it as f64));
                run.add(place, &[("least", least), ("most", most)]);
            }
            let by_worker = crate::client::short(running.addr, 10_000)?;
            let shares = by_worker.values().map(|&it| it as f64 / 100.0);
            let (least, most) = extremes(COUNT, shares);
            run.add(place, &[("least-load", least), ("most-load", most)]);
        }
    }
    Ok(())
}

/// The least and the most of `count` workers; one that is not mentioned has nothing.
fn extremes(count: usize, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<f64> = values.collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    if values.len() < count {
        return (0.0, most);
    }
    (values.iter().copied().fold(f64::INFINITY, f64::min), most)
}

fn workers(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, rounds) = (run.one_of_each(), run.few_rounds());
    run.progress.expect(servers.len() * rounds * WORKERS.len());
    for round in 0..rounds {
        for &server in &servers {
            for size in WORKERS {
                run.progress.step(round, &format!("{} × {size}", server.name()));
                let running = server.start(run.programs, size, FEW)?;
                let place = Place { section: "workers", server, size, round };
                let Settings { threads, connections, .. } = *run.settings;
                let client = (threads, connections.max(4 * size));
                run.load(place, &running, Mode::KeepAlive, client)?;
            }
        }
    }
    Ok(())
}

fn connections(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, rounds) = (run.one_of_each(), run.few_rounds());
    run.progress.expect(servers.len() * rounds * CONNECTIONS.len());
    for round in 0..rounds {
        for &server in &servers {
            let running = server.start(run.programs, run.settings.workers, MANY)?;
            for size in CONNECTIONS {
                run.progress.step(round, &format!("{}, {size}", server.name()));
                let place = Place { section: "connections", server, size, round };
                let client = (run.settings.threads, size);
                run.load(place, &running, Mode::KeepAlive, client)?;
            }
        }
    }
    Ok(())
}

fn idle(run: &mut Run<'_>) -> anyhow::Result<()> {
    let (servers, rounds) = (run.one_of_each(), run.few_rounds());
    run.progress.expect(servers.len() * rounds * IDLE.len());
    for round in 0..rounds {
        for &server in &servers {
            let running = server.start(run.programs, run.settings.workers, MANY)?;
            let mut idle = Idle::default();
            for size in IDLE {
                run.progress
                    .step(round, &format!("{}, {size} idle", server.name()));
                idle.open(running.addr, size)?;
                let place = Place { section: "idle", server, size, round };
                let Settings { threads, connections, .. } = *run.settings;
                run.load(place, &running, Mode::KeepAlive, (threads, connections))?;
            }
            let place = Place { section: "idle", server, size: 0, round };
            let answered = idle.answered() as f64;
            run.add(place, &[("still answered", answered)]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::extremes;

    #[test]
    fn a_worker_without_connections_has_none() {
        assert_eq!(extremes(2, [3.0, 7.0].into_iter()), (3.0, 7.0));
        assert_eq!(extremes(3, [3.0, 7.0].into_iter()), (0.0, 7.0));
        assert_eq!(extremes(1, std::iter::empty()), (0.0, 0.0));
    }
}
