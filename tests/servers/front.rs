//! A real nginx or `HAProxy` in front of a node, with a configuration that a test gives it; and a certificate for it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::{Process, run};
use super::wait_until;

/// A running proxy; ends with its value.
#[derive(Debug)]
pub(crate) struct Front {
    process: Process,
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Front {
    /// nginx with this for its `http` part.
    pub(crate) fn nginx(folder: TempDir, address: SocketAddr, http: &str) -> Self {
        let own = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {own}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nuser root;\npid {own}/nginx.pid;\nerror_log {own}/error.log warn;\nevents {{}}\nhttp {{\n{temporary}{http}\n}}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&path).arg("-e").arg(folder.path().join("error.log"));
        Self::start(command, folder, address)
    }

    pub(crate) fn haproxy(folder: TempDir, address: SocketAddr, text: &str) -> Self {
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&path);
        Self::start(command, folder, address)
    }

    fn start(mut command: Command, folder: TempDir, address: SocketAddr) -> Self {
        let errors = std::fs::File::create(folder.path().join("errors")).unwrap();
        let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors));
        let mut front = Self { process, folder, address };
        wait_until("the proxy listens", || {
            let said = || std::fs::read_to_string(front.folder.path().join("errors")).unwrap();
            assert!(!front.process.has_ended(), "{}", said());
            TcpStream::connect(address).is_ok()
        });
        front
    }
}

impl Front {
    /// What nginx has said of what it does, warnings too.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap()
    }
}

/// Writes `certificate.pem`, `key.pem` and both in one file, as the configurations name them.
pub(crate) fn write_certificate(folder: &Path) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=lostcard.example", "-keyout"]).arg(&key).arg("-out").arg(&certificate);
    run(command.stderr(Stdio::null()));
    let both = [std::fs::read(certificate).unwrap(), std::fs::read(key).unwrap()].concat();
    std::fs::write(folder.join("certificate-and-key.pem"), both).unwrap();
}
