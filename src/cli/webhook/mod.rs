//! `kyc-tracker webhook`: `sign` and `explain`, signatures by hand and offline; `register`, in a file of its own.
//!
//! The secret comes from a file or a variable, never from the command line, where every process could read it. `explain`
//! says which usual mistake a wrong signature comes from and never prints the right one: it must not become a way to sign.
//! The mistakes themselves are in [`mistakes`].

mod distrust;
mod mistakes;
mod register;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use crate::capa::signature;

/// Commands about webhook signatures.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the signature of a body, as the provider would send it in capa-signature
    Sign(Sign),
    /// Say why a signature is refused; exit code 0 if it is right, 1 if not
    Explain(Explain),
    /// Tell the provider where to send a partner's webhooks
    Register(register::Register),
    /// Put in doubt what was said with a leaked secret
    Distrust(distrust::Distrust),
}

/// Arguments of `webhook sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    #[command(flatten)]
    secret: Secret,
    /// Print a curl command that sends the signed body to URL instead
    #[arg(long, value_name = "URL", requires = "body")]
    curl: Option<String>,
    /// The body, byte for byte; without it, standard input
    #[arg(value_name = "BODY-FILE")]
    body: Option<PathBuf>,
}

/// Arguments of `webhook explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// What stood in the capa-signature header
    #[arg(long, value_name = "HEX", allow_hyphen_values = true)]
    signature: String,
    #[command(flatten)]
    secret: Secret,
    /// The body, byte for byte as it was received; without it, standard input
    #[arg(value_name = "BODY-FILE")]
    body: Option<PathBuf>,
}

/// Where the secret is.
#[derive(Debug, clap::Args)]
struct Secret {
    /// File with the secret, one a line; explain tries all, also those of several files
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Vec<PathBuf>,
    /// Name of the environment variable with the secret
    #[arg(long, value_name = "VAR", default_value = "KYC_WEBHOOK_SECRET")]
    secret_env: String,
}

/// Prints to standard output. The exit code is 1 for a signature that `explain` found wrong.
pub fn run(config: Option<&Path>, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Distrust(distrust) => distrust.run(config).map(|()| ExitCode::SUCCESS),
        Command::Register(register) => register.run(config).map(|()| ExitCode::SUCCESS),
        Command::Sign(sign) => {
            let [secret] = &sign.secret.read()?[..] else {
                bail!("sign needs exactly one secret, and more than one line or file was given");
            };
            let signature =
                signature::sign(secret.expose_secret(), &read_body(sign.body.as_deref())?);
            match (&sign.curl, &sign.body) {
                (Some(url), Some(body)) => println!("{}", curl(url, &signature, body)?),
                _ => println!("{signature}"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(explain) => {
            let secrets = explain.secret.read()?;
            let body = read_body(explain.body.as_deref())?;
            let finding = mistakes::explain(&secrets, &body, &explain.signature);
            for sentence in finding.sentences() {
                println!("{sentence}");
            }
            Ok(match finding.is_right() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
    }
}

impl Secret {
    fn read(&self) -> anyhow::Result<Vec<SecretString>> {
        let mut secrets = Vec::new();
        for path in &self.secret_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the secret file {}", path.display()))?;
            let lines = text.lines().filter(|line| !line.is_empty());
            secrets.extend(lines.map(SecretString::from));
        }
        if self.secret_file.is_empty() {
            let name = &self.secret_env;
            let Some(value) = std::env::var_os(name) else {
                bail!("no secret: set the variable {name}, or give --secret-file FILE");
            };
            let Ok(value) = value.into_string() else {
                bail!("the variable {name} is not UTF-8");
            };
            secrets.push(SecretString::from(value));
        }
        if secrets
            .iter()
            .all(|secret| secret.expose_secret().is_empty())
        {
            bail!("the secret is empty");
        }
        Ok(secrets)
    }
}

fn read_body(path: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    match path {
        Some(path) => File::open(path)
            .and_then(|mut file| file.read_to_end(&mut body))
            .with_context(|| format!("cannot read the body file {}", path.display()))?,
        None => io::stdin()
            .read_to_end(&mut body)
            .context("cannot read the body from standard input")?,
    };
    Ok(body)
}

/// `--data-binary`, because `--data` would drop line breaks and so break the signature.
fn curl(url: &str, signature: &str, body: &Path) -> anyhow::Result<String> {
    let body = body
        .to_str()
        .context("the name of the body file is not UTF-8")?;
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    Ok(format!(
        "curl -i -X POST -H 'content-type: application/json' -H '{}: {signature}' --data-binary {} --url {}",
        signature::HEADER,
        quote(&format!("@{body}")),
        quote(url),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        Program::try_parse_from([&["webhook"], arguments].concat()).map(|program| program.command)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_curl_command_quotes_what_it_is_given() {
        assert_eq!(
            curl(
                "http://127.0.0.1/webhooks/a?b&c",
                "abc",
                Path::new("it's.json")
            )
            .unwrap(),
            r"curl -i -X POST -H 'content-type: application/json' -H 'capa-signature: abc' --data-binary '@it'\''s.json' --url 'http://127.0.0.1/webhooks/a?b&c'"
        );
    }

    #[test]
    fn explain_ends_with_0_for_a_right_signature_and_1_for_a_wrong_one() {
        let (old, new, body) = (
            file("first_secret\nsecond_secret\n"),
            file("third_secret\n"),
            file("{}"),
        );
        let paths = [&old, &new, &body].map(|file| file.path().to_str().unwrap());
        let exit = |signature: &str| {
            let arguments = [
                "explain",
                "--signature",
                signature,
                "--secret-file",
                paths[0],
                "--secret-file",
                paths[1],
            ];
            run(
                None,
                &parse(&[&arguments[..], &[paths[2]]].concat()).unwrap(),
            )
            .unwrap()
        };
        for secret in ["first_secret", "second_secret", "third_secret"] {
            assert_eq!(exit(&signature::sign(secret, b"{}")), ExitCode::SUCCESS);
        }
        assert_eq!(exit(&signature::sign("another", b"{}")), ExitCode::FAILURE);
        assert_eq!(exit("-"), ExitCode::FAILURE);
    }

    #[test]
    fn sign_takes_one_secret_only() {
        let (secrets, body) = (file("first_secret\nsecond_secret\n"), file("{}"));
        let [secrets, body] = [&secrets, &body].map(|file| file.path().to_str().unwrap());
        assert!(
            run(
                None,
                &parse(&["sign", "--secret-file", secrets, body]).unwrap()
            )
            .is_err()
        );
    }

    #[test]
    fn a_curl_command_needs_a_body_file_and_the_secret_one_source() {
        assert!(parse(&["sign"]).is_ok());
        assert!(parse(&["sign", "--curl", "http://127.0.0.1/"]).is_err());
        assert!(parse(&["sign", "--secret-file", "a", "--secret-env", "B"]).is_err());
    }
}
