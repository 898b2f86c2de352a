//! Who runs a command and why, for the audit log: what they say of themselves, and what the operating system knows.

use std::path::Path;

use anyhow::Context;
use clap::Args;
use jiff::civil::Date;

use crate::domain::audit::{Behind, Grounds, OsUser, Person};
use crate::own_files;

/// The person, and why.
#[derive(Debug, Clone, Args)]
pub(super) struct Acting {
    /// Who you are, for the audit log: 1 to 100 characters
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = "Global options")]
    person: Option<String>,
    /// Why you do this, for the audit log: 1 to 200 characters
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Global options")]
    reason: Option<String>,
}

impl Acting {
    /// What the audit log keeps of it.
    pub(super) fn behind(&self, today: Date) -> anyhow::Result<Behind> {
        let person = self.person.as_deref().map(|text| {
            Person::parse(text, today)
                .context("--as is a name of 1 to 100 visible characters, without an identity number")
        });
        let reason = self.reason.as_deref().map(|text| {
            Grounds::parse(text, today).context("--reason is 1 to 200 visible characters, without an identity number")
        });
        Ok(Behind { person: person.transpose()?, os_user: os_user(today), reason: reason.transpose()? })
    }
}

/// The user who logged in, also behind `sudo` (the kernel keeps it as the login uid); else the one under whom this runs.
fn os_user(today: Date) -> Option<OsUser> {
    let logged_in = own_files::read_text(Path::new("/proc/self/loginuid")).ok();
    let logged_in = logged_in.and_then(|text| text.trim().parse().ok()).filter(|&uid: &u32| uid != u32::MAX);
    let uid = logged_in.unwrap_or_else(|| rustix::process::getuid().as_raw());
    let users = own_files::read_text(Path::new("/etc/passwd")).unwrap_or_default();
    let name = name_of(uid, &users).map_or_else(|| format!("uid:{uid}"), str::to_owned);
    OsUser::parse(&name, today)
}

/// The name of a user in a file as `/etc/passwd` (passwd(5)); users of a directory service are not there.
fn name_of(uid: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, its_uid) = (fields.next()?, fields.nth(1)?);
        (its_uid.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_file_of_users() {
        let users = "root:x:0:0:root:/root:/bin/bash\nwang:x:1000:1000::/home/wang:/bin/sh\nbroken\n";
        assert_eq!(name_of(0, users), Some("root"));
        assert_eq!(name_of(1000, users), Some("wang"));
        assert_eq!(name_of(1, users), None);
    }
}
