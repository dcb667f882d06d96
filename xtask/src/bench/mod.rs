//! Benchmarks: of the core alone, of the filter in a real Envoy beside Envoy's own, and of the SCIM store beside other servers.

mod core;
mod gateway;
mod instructions;
mod jwt;
mod listeners;
mod load;
mod machine;
mod nothing;
mod plan;
mod plot;
mod process;
mod report;
mod results;
mod scim;
mod statistics;
mod tokens;
mod v8;
mod worker;
mod zipf;

use anyhow::Result;
use clap::Subcommand;
use plan::Plan;
use std::path::PathBuf;

/// Without one: the core's, which need no other program.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// How long the core takes.
    Core {
        /// Passed to the benchmarks.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// CPU time of a request in Envoy: dist/jwt-authn.wasm, Envoy's own `jwt_authn`, nothing. Needs wrk and h2load.
    Jwt(Jwt),
    /// How long the core takes in V8, compiled as the filters are. Needs Node.js.
    V8,
    /// Requests a second of the SCIM store on SQLite and PostgreSQL, and of other SCIM servers. Needs Node.js, Python, PostgreSQL.
    Scim(scim::Options),
    /// CPU time and latency that dist/scim-gateway.wasm adds to a SCIM call in Envoy. Needs wrk and h2load.
    Gateway(gateway::Options),
    /// CPU time of a request in workerd: dist/worker, a worker with npm's jose, nothing. Needs Node.js and wrk.
    Worker(worker::Options),
    /// Write the files in benches/ anew from their JSON.
    Report,
}

#[derive(clap::Args)]
pub(crate) struct Jwt {
    /// One short round, to see that all of it works; its numbers mean little.
    #[arg(long)]
    quick: bool,
    /// So many rounds, and one more to warm up.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Also count instructions of the core alone, with valgrind.
    #[arg(long)]
    instructions: bool,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write benches/results.json, and RESULTS.md and results.svg from it.
    #[arg(long, conflicts_with = "quick")]
    commit: bool,
}

/// Runs what is asked for.
pub(crate) fn start(bench: Option<Bench>) -> Result<()> {
    match bench {
        None => core::start(&[]),
        Some(Bench::Core { arguments }) => core::start(&arguments),
        Some(Bench::V8) => v8::bench(),
        Some(Bench::Scim(options)) => scim::start(&options),
        Some(Bench::Gateway(options)) => gateway::start(&options),
        Some(Bench::Worker(options)) => worker::start(&options),
        Some(Bench::Report) => {
            report::rewrite()?;
            scim::rewrite()?;
            gateway::rewrite()?;
            worker::rewrite()
        }
        Some(Bench::Jwt(options)) => {
            let plan = if options.quick { Plan::QUICK } else { Plan::FULL };
            let plan = Plan { rounds: options.rounds.unwrap_or(plan.rounds), ..plan };
            let results = jwt::measure(plan, options.instructions)?;
            println!("\n{}", report::markdown(&results));
            if let Some(file) = options.json {
                results.write(&file)?;
            }
            if options.commit {
                results.write(&report::file("results.json"))?;
                report::rewrite()?;
            }
            Ok(())
        }
    }
}
