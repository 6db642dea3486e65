//! A server process, and what it costs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::process::{field, resident_bytes};

/// How long a process may take to end.
const END_MAX: Duration = Duration::from_secs(30);

/// A running process that said where it listens; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// Whether it ends by itself when its stdin does.
    pub(crate) ends_with_stdin: bool,
}

/// CPU time since the start of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Of all threads, in nanoseconds.
    pub(crate) total_ns: u64,
    /// The share that was spent outside the kernel, in ticks of the system's clock.
    user_ticks: u64,
    system_ticks: u64,
}

impl Server {
    /// Starts a program, which prints `coap://ADDRESS` as its first line.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Server> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let commands = child.stdin.take();
        let answers = child.stdout.take().context("stdout is piped")?;
        let mut server = Server {
            child,
            commands,
            answers: BufReader::new(answers),
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            ends_with_stdin: true,
        };
        let line = server.line()?;
        server.address = line
            .strip_prefix("coap://")
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("the server said '{line}'"))?;
        Ok(server)
    }

    /// Starts a sub-command of this program.
    pub(crate) fn start_own(arguments: &[&str]) -> anyhow::Result<Server> {
        let program = std::env::current_exe()?;
        Server::start(Command::new(program).args(arguments))
    }

    /// Writes a command and reads its answer, a line of JSON.
    pub(crate) fn ask(&mut self, command: &str) -> anyhow::Result<Value> {
        let commands = self.commands.as_mut().context("stdin is piped")?;
        writeln!(commands, "{command}").context("the server ended")?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("{command}: '{line}'"))
    }

    /// The next line that the server prints.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the server ended");
        }
        Ok(line.trim_end().to_owned())
    }

    /// CPU time until now.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let folder = format!("/proc/{}", self.child.id());
        let threads = fs::read_dir(format!("{folder}/task"));
        let threads = threads.context("CPU time is measured on Linux only")?;
        let mut total_ns = 0;
        for thread in threads {
            let path = thread?.path().join("schedstat");
            let text = fs::read_to_string(&path)?;
            total_ns += field(&text, 0).with_context(|| format!("{}", path.display()))?;
        }
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name of the program stands in parentheses and may hold spaces.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        Ok(Cpu {
            total_ns,
            user_ticks: field(fields, 11).context("utime")?,
            system_ticks: field(fields, 12).context("stime")?,
        })
    }

    /// Bytes of memory that are resident.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its stdin ends, and so does it: a profiler that it runs under writes its results then.
        self.commands = None;
        let deadline = Instant::now() + END_MAX;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline || !self.ends_with_stdin {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Cpu {
    /// What was spent since an earlier time.
    pub(crate) fn since(self, earlier: Cpu) -> Cpu {
        Cpu {
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }

    /// The part that was spent outside the kernel, in nanoseconds; as exact as the system's clock
    /// ticks, some milliseconds.
    pub(crate) fn user_ns(self) -> f64 {
        let ticks = self.user_ticks + self.system_ticks;
        self.total_ns as f64 * self.user_ticks as f64 / ticks.max(1) as f64
    }
}
