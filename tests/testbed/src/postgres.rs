//! A real PostgreSQL, thrown away afterwards.

use crate::folder;
use crate::port;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start, and to recover what it had when it was killed.
const START: Duration = Duration::from_secs(60);
/// The password of the role `doorward`, which only a server with TLS asks for.
const PASSWORD: &str = "correct-horse";
/// The certificate of the authority, in the folder of the data.
const AUTHORITY: &str = "authority.pem";
/// Who may connect to a server with TLS: the role `doorward` by TLS only, and with its password. The first line that fits counts.
const GUARD: &str = "hostssl all doorward all scram-sha-256\nhost all doorward all reject\n";
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(10);

/// A running PostgreSQL with a role `doorward` that is no superuser. Dropping it ends it; its data goes too.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Process>,
    programs: PathBuf,
    /// For the log.
    folder: PathBuf,
    /// Where others than we may go: what leads to the target folder may be closed to them.
    data: TempDir,
    port: u16,
    databases: AtomicU32,
    /// Who runs it, if we are root: it refuses to.
    user: Option<(u32, u32)>,
    has_tls: bool,
}

impl PostgresServer {
    /// The folder of the newest installed PostgreSQL's programs, as Debian's packages place them; or `DOORWARD_POSTGRES`.
    pub fn programs() -> Option<PathBuf> {
        if let Some(folder) = std::env::var_os("DOORWARD_POSTGRES") {
            return Some(PathBuf::from(folder));
        }
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let numbers = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let mut folders: Vec<_> = numbers.collect();
        folders.sort_unstable();
        let programs = |version| Path::new("/usr/lib/postgresql").join(format!("{version}/bin"));
        folders.into_iter().rev().map(programs).find(|folder| folder.join("initdb").is_file())
    }

    /// Makes a database cluster in a new folder and starts it. A commit is on the disk before it is acknowledged, as it is by default.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start within 60 seconds; with the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_new(false).await
    }

    /// The same with TLS. Its certificate is for `localhost` and 127.0.0.1; the role `doorward` must use TLS, and has a password.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_with_tls() -> Result<Self> {
        Self::start_new(true).await
    }

    async fn start_new(has_tls: bool) -> Result<Self> {
        let programs = Self::programs().context("expected PostgreSQL: install the package `postgresql`")?;
        let data = TempDir::with_prefix("doorward-postgres-").context("expected a temporary folder")?;
        let user = unprivileged(data.path())?;
        if let Some((user, group)) = user {
            chown(data.path(), Some(user), Some(group)).context("expected to give the folder away")?;
        }
        let (folder, port) = (folder::scratch("postgres")?, port::free()?);
        let mut server =
            Self { process: None, programs, folder, data, port, databases: AtomicU32::new(0), user, has_tls };
        let mut initdb = server.command("initdb");
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(server.data.path());
        finish(&mut initdb)?;
        if has_tls {
            server.set_up_tls()?;
        }
        server.start_again().await?;
        server.sql("postgres", &format!("CREATE ROLE doorward LOGIN PASSWORD '{PASSWORD}'"))?;
        Ok(server)
    }

    /// Whose certificate the server's is signed with, if it has TLS: a file in PEM.
    pub fn authority(&self) -> Option<PathBuf> {
        self.has_tls.then(|| self.data.path().join(AUTHORITY))
    }

    /// Gives it a certificate of an authority that nobody else has.
    fn set_up_tls(&self) -> Result<()> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        self.write(AUTHORITY, &authority.pem())?;
        self.write("server.crt", &certificate.pem())?;
        self.write("server.key", &key.serialize_pem())?;
        let (settings, access) = ("postgresql.conf", "pg_hba.conf");
        let read = |name| {
            fs::read_to_string(self.data.path().join(name)).with_context(|| format!("expected {name}"))
        };
        self.write(settings, &format!("{}\nssl = on\n", read(settings)?))?;
        self.write(access, &format!("{GUARD}{}", read(access)?))
    }

    /// Writes a file that only the server may read: it insists on that for its key.
    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.data.path().join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("expected to write {name}"))?;
        if let Some((user, group)) = self.user {
            chown(&path, Some(user), Some(group)).with_context(|| format!("expected to give {name} away"))?;
        }
        Ok(())
    }

    /// Starts it after [`Self::stop`], on the same port.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data.path());
        command.args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        let process = Process::spawn("postgres", &mut command, &self.folder)?;
        let deadline = Instant::now() + START;
        while self.sql("postgres", "SELECT 1").is_err() {
            if process.exited().is_some() || Instant::now() > deadline {
                bail!("expected PostgreSQL to start\n{}", process.report(40));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it at once, as a crash would: nothing is written that is not on the disk. The data stays.
    pub fn stop(&mut self) {
        let Some(process) = self.process.take() else { return };
        // An immediate shutdown. It tells its children, which lead process groups of their own; then it goes.
        let _ = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
        let deadline = Instant::now() + STOP;
        while process.exited().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Makes an empty database that the role `doorward` owns; answers its name.
    ///
    /// # Errors
    /// If that fails.
    pub fn database(&self) -> Result<String> {
        let name = format!("doorward_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER doorward"))?;
        Ok(name)
    }

    /// Where a database is, for a role. Of TLS it says nothing.
    pub fn url(&self, role: &str, database: &str) -> String {
        let password = if self.has_tls { format!(":{PASSWORD}") } else { String::new() };
        format!("postgresql://{role}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the superuser, each in a transaction of its own; answers their output, unaligned.
    ///
    /// # Errors
    /// If one fails, with what it said.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let mut psql = self.command("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
        ])
        .args([&self.port.to_string(), "-d", database, "-c", statements]);
        finish(&mut psql)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let Some((user, group)) = self.user else { return Command::new(program) };
        // By way of a program: it also drops the groups of root.
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"])
            .arg(program);
        command.current_dir(self.data.path());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who is to run it if we are root, as the owner of `folder` shows: the user that the package made, or else `nobody`.
fn unprivileged(folder: &Path) -> Result<Option<(u32, u32)>> {
    let owner = fs::metadata(folder).context("expected the folder's owner")?.uid();
    if owner != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("expected to read the users")?;
    let user = |wanted: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let (id, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (name == wanted).then_some((id, group))
        })
    };
    let found = user("postgres").or_else(|| user("nobody"));
    Ok(Some(found.context("expected a user `postgres` or `nobody`: PostgreSQL does not run as root")?))
}

fn finish(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("expected to run {command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "expected {command:?} to succeed, but it said:\n{error}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "it is said what is left out")]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn what_was_committed_outlives_the_server() {
        if PostgresServer::programs().is_none() {
            eprintln!("left out: PostgreSQL is not installed");
            return;
        }
        run(async {
            let mut server = PostgresServer::start().await?;
            let name = server.database()?;
            server.sql(&name, "CREATE TABLE t AS SELECT 7 AS n")?;
            server.stop();
            assert!(server.sql(&name, "SELECT n FROM t").is_err());
            server.start_again().await?;
            assert_eq!(server.sql(&name, "SELECT n FROM t")?, "7");
            assert_eq!(server.sql(&name, "SHOW fsync")?, "on");
            Ok(())
        })
        .unwrap();
    }
}
