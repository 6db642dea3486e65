//! Benchmarks: CPU time for each operation and memory for each device.
//!
//! One module measures one thing and gives a [`Report`]; this file picks, and prints a table or
//! JSON. Run with `cargo run --release -p lwm2m-bench -- parse`.

mod coap_parse;
mod codecs;
mod dtls;
mod plugins;
mod process;
mod registry;
mod report;
mod storm;
mod timing;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use report::Report;

#[derive(Parser)]
#[command(
    name = "lwm2m-bench",
    about = "Measures the parts of the server",
    version
)]
struct Arguments {
    /// Prints JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Reading and answering CoAP messages, compared with coap-lite.
    Parse(timing::Rounds),
    /// Reading and writing payloads, object lists and object models.
    Codecs(timing::Rounds),
    /// Reading object definitions, making types of them, looking models up.
    Registry(registry::Arguments),
    /// DTLS handshakes, records and idle sessions, compared with webrtc-dtls and OpenSSL.
    Dtls(dtls::Arguments),
    /// Many devices register, update and notify: CPU time and memory of the server.
    Storm(storm::Arguments),
    /// Plugins: their calls, loading them, a storm through one, one that loops.
    Plugins(plugins::Arguments),
    /// The process of `dtls` whose memory is looked at.
    #[command(hide = true)]
    Hold(dtls::HoldArguments),
    /// The server of `storm`.
    #[command(hide = true)]
    Serve(storm::ServeArguments),
    /// The baseline of `storm`.
    #[command(hide = true)]
    Echo(storm::EchoArguments),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let reports = match &arguments.bench {
        Bench::Parse(rounds) => vec![coap_parse::run(rounds)?],
        Bench::Codecs(rounds) => vec![codecs::run(rounds)?],
        Bench::Registry(arguments) => registry::run(arguments)?,
        Bench::Dtls(arguments) => dtls::run(arguments)?,
        Bench::Hold(arguments) => return dtls::hold(arguments),
        Bench::Storm(arguments) => storm::run(arguments)?,
        Bench::Serve(arguments) => return storm::serve(arguments),
        Bench::Echo(arguments) => return storm::echo(arguments),
        Bench::Plugins(arguments) => plugins::run(arguments)?,
    };
    print(&reports, arguments.json)?;
    Ok(())
}

fn print(reports: &[Report], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if cfg!(debug_assertions) {
        writeln!(io::stderr(), "a debug build says nothing about speed")?;
    }
    if json {
        let reports: Vec<_> = reports.iter().map(Report::to_json).collect();
        return writeln!(out, "{}", serde_json::Value::from(reports));
    }
    for report in reports {
        writeln!(out, "{report}")?;
    }
    Ok(())
}
