//! Child processes that name the address at which they listen, and end with their owner.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::net::TcpListener;

use crate::Outcome;

pub(crate) struct Process {
    child: Child,
    pub address: String,
}

impl Process {
    /// This program in another role.
    pub fn of_this_program(arguments: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        Ok(Self { child, address: address.trim().to_owned() })
    }

    pub fn following(child: Child, address: String) -> Self {
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A listener on a free port, whose address the parent reads.
pub(crate) async fn listen() -> Outcome<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}
