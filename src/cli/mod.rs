//! The commands. Exit codes: 0 done, 1 failed, 2 wrong use or unusable configuration.

mod chaos;
mod check_config;
mod demo;
mod import;
mod key;
mod reconcile;
mod sandbox;
mod serve;
mod stage;
mod webhook;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Partner};
use crate::db::file::OtherEnvironment;

/// Generates KYC links, hears the provider's signed webhooks, and answers where a user stands.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The settings, a TOML file; without it the defaults and the environment (KYC__…) count.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve,
    /// Run the service and a sandbox provider together, with throw-away keys; needs no account and no settings.
    Demo(demo::Arguments),
    /// Let everything go wrong between the service and a sandbox provider, then say which promises were kept.
    Chaos(chaos::Arguments),
    /// Run the sandbox provider alone, for the partners of the settings.
    Sandbox(sandbox::Arguments),
    /// Ask the provider now where users stand.
    Reconcile(reconcile::Arguments),
    /// Load users whom a partner has already; it may be repeated.
    Import(import::Arguments),
    /// Say in one paragraph why a user stands where it stands.
    Why(why::Arguments),
    /// Say whether the settings are usable.
    CheckConfig,
    /// Make API keys.
    #[command(subcommand)]
    Key(key::Command),
    /// Sign a webhook, explain why a signature is refused, or tell the provider where to send them.
    #[command(subcommand)]
    Webhook(webhook::Command),
}

/// The partner of the configuration with that id.
fn partner<'a>(config: &'a Config, id: &str) -> anyhow::Result<&'a Partner> {
    let partner = config.partner(id);
    partner.with_context(|| format!("no partner of the configuration is called {id}"))
}

/// Does what the arguments of the process say.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let config = arguments.config.as_deref();
    let done = match &arguments.command {
        Command::Serve => serve::run(config),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Chaos(arguments) => match chaos::run(arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Sandbox(arguments) => sandbox::run(config, arguments),
        Command::Reconcile(arguments) => reconcile::run(config, arguments),
        Command::Import(arguments) => match import::run(config, arguments) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Why(arguments) => why::run(config, arguments),
        Command::CheckConfig => check_config::run(config),
        Command::Key(command) => key::run(command),
        Command::Webhook(command) => match webhook::run(config, command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    eprintln!("kyc-tracker: {error:#}");
    if error.is::<ConfigError>() || error.is::<OtherEnvironment>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}
