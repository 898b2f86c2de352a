//! Policies (C2SP tlog-policy): which logs and witnesses are known, and which witnesses together are enough.

use std::collections::{HashMap, HashSet};

use super::note::{SignatureType, VerifierKey};

/// The most bytes of a policy, and lines that define something: far above the 32 of each kind that the specification asks for.
const POLICY_BYTES_MAX: usize = 256 * 1024;
/// The most witnesses: a note with all their signatures and the log's own must be one that is read.
const WITNESSES_MAX: usize = 60;

/// Why a file is no policy: the line, from 1, or 0 for the file as a whole.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no policy (C2SP tlog-policy): line {line}: {why}")]
pub struct PolicyError {
    pub line: usize,
    pub why: &'static str,
}

/// A log or a witness: its key, and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub key: VerifierKey,
    pub url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
    /// A witness with a key of a type that is not read here: it never counts.
    Unreadable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    needed: usize,
    members: Vec<Member>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub logs: Vec<Party>,
    pub witnesses: Vec<Party>,
    groups: Vec<Group>,
    /// None: no cosignature is needed.
    quorum: Option<Member>,
}

impl Policy {
    /// Reads a policy file.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let mut reading = Reading::default();
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError { line: 0, why: "it is too long" });
        }
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            reading.line(line).map_err(|why| PolicyError { line: at + 1, why })?;
        }
        let Reading { logs, witnesses, groups, quorum, has_quorum, .. } = reading;
        if !has_quorum {
            return Err(PolicyError { line: 0, why: "there is no quorum line" });
        }
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// Whether those witnesses are enough; `has` gets the place of one in `witnesses`.
    pub fn is_met(&self, has: impl Fn(usize) -> bool) -> bool {
        self.quorum.is_none_or(|member| self.witnessed(member, &has))
    }

    fn witnessed(&self, member: Member, has: &impl Fn(usize) -> bool) -> bool {
        match member {
            Member::Witness(at) => has(at),
            Member::Unreadable => false,
            // Groups name earlier ones alone, so this ends.
            Member::Group(at) => self.groups.get(at).is_some_and(|group| {
                group.members.iter().filter(|member| self.witnessed(**member, has)).count() >= group.needed
            }),
        }
    }
}

#[derive(Default)]
struct Reading {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    groups: Vec<Group>,
    names: HashMap<Vec<u8>, Member>,
    taken: HashSet<Vec<u8>>,
    /// None where it needs none; whether there was a line is told apart.
    quorum: Option<Member>,
    has_quorum: bool,
}

impl Reading {
    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err("a control character");
        }
        let words: Vec<&[u8]> =
            line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key, url @ ..] if url.len() < 2 => {
                let log = party(key, url, SignatureType::Ed25519)?;
                add(&mut self.logs, log)
            }
            [b"witness", name, key, url @ ..] if url.len() < 2 && is_of_other_type(key) => {
                self.define(name, Member::Unreadable)
            }
            [b"witness", _, _, ..] if self.witnesses.len() == WITNESSES_MAX => {
                Err("more witnesses than a note has signatures")
            }
            [b"witness", name, key, url @ ..] if url.len() < 2 => {
                let witness = party(key, url, SignatureType::Cosignature)?;
                self.define(name, Member::Witness(self.witnesses.len()))?;
                add(&mut self.witnesses, witness)
            }
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                let needed = needed(threshold, members.len())?;
                let members = members.iter().map(|member| self.take(member)).collect::<Result<_, _>>()?;
                self.define(name, Member::Group(self.groups.len()))?;
                self.groups.push(Group { needed, members });
                Ok(())
            }
            [b"quorum", name] => {
                let quorum = if *name == b"none" { None } else { Some(self.find(name)?) };
                self.quorum = quorum;
                let had_one = std::mem::replace(&mut self.has_quorum, true);
                if had_one { Err("a second quorum line") } else { Ok(()) }
            }
            _ => Err("not a line of a policy"),
        }
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), &'static str> {
        if name == b"none" {
            return Err("the name none is taken");
        }
        let is_new = self.names.insert(name.to_vec(), member).is_none();
        if is_new { Ok(()) } else { Err("a name is defined twice") }
    }

    fn find(&self, name: &[u8]) -> Result<Member, &'static str> {
        self.names.get(name).copied().ok_or("a name is not defined before")
    }

    /// Each name is a member once, so that no witness counts twice.
    fn take(&mut self, name: &[u8]) -> Result<Member, &'static str> {
        let member = self.find(name)?;
        let is_first = self.taken.insert(name.to_vec());
        if is_first { Ok(member) } else { Err("a name is a member twice") }
    }
}

/// Whether it has the form of a verifier key whose type this program does not know, such as ML-DSA-44 (tlog-cosignature, 6).
fn is_of_other_type(key: &[u8]) -> bool {
    let kind = std::str::from_utf8(key).ok().and_then(VerifierKey::type_of);
    kind.is_some_and(|kind| kind != SignatureType::Ed25519 as u8 && kind != SignatureType::Cosignature as u8)
}

fn party(key: &[u8], url: &[&[u8]], kind: SignatureType) -> Result<Party, &'static str> {
    let key = std::str::from_utf8(key).ok().and_then(VerifierKey::parse).ok_or("not a verifier key")?;
    if key.kind() != kind {
        return Err("a verifier key of the wrong type");
    }
    let url = url.first().map(|url| std::str::from_utf8(url).map(str::to_owned)).transpose();
    Ok(Party { key, url: url.map_err(|_| "a URL is not UTF-8")? })
}

fn add(all: &mut Vec<Party>, party: Party) -> Result<(), &'static str> {
    if all.iter().any(|other| other.key.public() == party.key.public()) {
        return Err("a key stands twice");
    }
    all.push(party);
    Ok(())
}

fn needed(threshold: &[u8], members: usize) -> Result<usize, &'static str> {
    let needed = match threshold {
        b"all" => Some(members),
        b"any" => Some(1),
        digits if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok())
        }
        _ => None,
    };
    needed.filter(|needed| (1..=members).contains(needed)).ok_or("a threshold that no group has")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signing::SigningKey;

    fn key(name: &str, kind: SignatureType) -> String {
        VerifierKey::new(name, kind, SigningKey::generate().unwrap().public().clone()).unwrap().to_string()
    }

    /// The example of the specification.
    fn example() -> String {
        let witness =
            |name: &str| format!("witness {name}\t{}\n", key(&format!("w.example/{name}"), SignatureType::Cosignature));
        let witnesses: String = ["X1", "X2", "X3", "Y1", "Y2", "Y3"].map(witness).concat();
        format!(
            "# example\n\nlog {} https://log.example/\n{witnesses}group X-witnesses 2 X1 X2 X3\n  group Y-witnesses any Y1 Y2 Y3\n\
             group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
            key("log.example", SignatureType::Ed25519)
        )
    }

    #[test]
    fn a_quorum_is_met_as_its_groups_say() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        assert_eq!((policy.logs[0].url.as_deref(), policy.witnesses.len()), (Some("https://log.example/"), 6));
        let met = |those: &[usize]| policy.is_met(|at| those.contains(&at));
        assert!(met(&[0, 2, 4]) && met(&[0, 1, 2, 3, 4, 5]));
        assert!(!met(&[]) && !met(&[0, 1, 2]) && !met(&[0, 3, 4, 5]));
        let none = Policy::parse(b"quorum none").unwrap();
        assert!(none.is_met(|_| false) && none.witnesses.is_empty());
    }

    /// C2SP tlog-cosignature has more than one type, and a policy may name witnesses of each.
    #[test]
    fn a_witness_with_a_key_of_another_type_does_not_count_and_spoils_nothing() {
        use base64::Engine;
        let other = base64::engine::general_purpose::STANDARD.encode([[6].as_slice(), &[9; 1312]].concat());
        let one = key("w.example/1", SignatureType::Cosignature);
        let text = |quorum: &str| {
            format!(
                "witness new w.example/2+0a0b0c0d+{other} https://w.example\nwitness w {one}\ngroup g {quorum} new w\nquorum g\n"
            )
        };
        let policy = Policy::parse(text("any").as_bytes()).unwrap();
        assert!(policy.witnesses.len() == 1 && policy.is_met(|at| at == 0) && !policy.is_met(|_| false));
        assert!(!Policy::parse(text("all").as_bytes()).unwrap().is_met(|_| true));
        let bad = text("any").replace("+0a0b0c0d+", "+0a0b0c+");
        assert_eq!(Policy::parse(bad.as_bytes()).map_err(|error| error.line), Err(1));
    }

    #[test]
    fn a_policy_has_no_more_witnesses_than_a_note_has_signatures() {
        let lines = |count: usize| {
            let lines = (0..count).map(|at| format!("witness w{at} {}\n", key("w", SignatureType::Cosignature)));
            lines.collect::<Vec<_>>().concat()
        };
        assert!(Policy::parse(format!("{}quorum none\n", lines(WITNESSES_MAX)).as_bytes()).is_ok());
        let error = Policy::parse(format!("{}quorum none\n", lines(WITNESSES_MAX + 1)).as_bytes()).unwrap_err();
        assert_eq!(error.line, WITNESSES_MAX + 1);
    }

    #[test]
    fn a_file_that_is_no_policy_is_refused_with_its_line() {
        let good = example();
        let log = key("log.example", SignatureType::Ed25519);
        let witness = key("w", SignatureType::Cosignature);
        let again = good.lines().nth(3).unwrap().replace("witness X1", "witness Z");
        for (line, text) in [
            (0, String::new()),
            (0, good.replace("quorum X-and-Y\n", "")),
            (14, format!("{good}quorum none\n")),
            (14, format!("{good}group all-again all X1\n")),
            (14, format!("{good}group X1 all X-and-Y\n")),
            (14, format!("{good}group none all X-and-Y\n")),
            (14, format!("{good}group more all X9\n")),
            (14, format!("{good}group more 2 X-and-Y\n")),
            (14, format!("{good}group more 0 X-and-Y\n")),
            (14, format!("{good}group more +1 X-and-Y\n")),
            (14, format!("{good}group more all\n")),
            (14, format!("{good}log {witness}\n")),
            (14, format!("{good}log {log} url more\n")),
            (14, format!("{good}witness W {log}\n")),
            (14, format!("{good}{again}\n")),
            (14, format!("{good}Log {log}\n")),
            (14, format!("{good}# \r\n")),
            (1, format!("quorum X-and-Y\n{good}")),
        ] {
            assert_eq!(Policy::parse(text.as_bytes()).map_err(|error| error.line), Err(line), "{text}");
        }
    }
}
