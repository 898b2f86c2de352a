//! Checkpoints (C2SP tlog-checkpoint): which log, how many leaves, which root; and what is sent to witnesses (C2SP tlog-witness).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::note::Note;
use super::tile::decimal;
use super::tree::Hash;

/// The most hashes of a proof (tlog-witness).
const PROOF_HASHES_MAX: usize = 63;

/// The text of a note that is a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines may stand behind, and are passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let is_whole = !origin.is_empty() && lines.all(|line| !line.is_empty());
        let size = decimal(size)?;
        is_whole.then_some(Self { origin: origin.to_owned(), size, root: hash(root)? })
    }

    /// The text, as it is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }
}

fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The body of `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    pub old_size: u64,
    pub proof: Vec<Hash>,
    pub note: Note,
    pub checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// Reads a body; none where it is malformed.
    pub fn parse(body: &str) -> Option<Self> {
        let (head, note) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old_size = decimal(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(hash).collect::<Option<Vec<_>>>()?;
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        let is_sound = proof.len() <= PROOF_HASHES_MAX && old_size <= checkpoint.size;
        is_sound.then_some(Self { old_size, proof, note, checkpoint })
    }

    /// Writes a body.
    pub fn body(old_size: u64, proof: &[Hash], note: &str) -> String {
        let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("old {old_size}\n{proof}\n{note}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of tlog-witness, shortened by a signature.
    const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let read = AddCheckpoint::parse(EXAMPLE).unwrap();
        assert_eq!((read.old_size, read.proof.len(), read.checkpoint.size), (20_852_014, 4, 20_852_163));
        assert_eq!(read.checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(read.checkpoint.text(), read.note.text());
        let note = EXAMPLE.split_once("\n\n").unwrap().1;
        assert_eq!(AddCheckpoint::body(read.old_size, &read.proof, note), EXAMPLE);
    }

    #[test]
    fn a_malformed_body_is_refused() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";
        for bad in [
            EXAMPLE.replace("old 2", "old 02"),
            EXAMPLE.replace("old ", "old  "),
            EXAMPLE.replace("old ", ""),
            EXAMPLE.replace("old 20852014", "old 20852164"),
            EXAMPLE.replace(hash, "PlRN"),
            EXAMPLE.replace(hash, &format!("{hash} ")),
            EXAMPLE.replace(hash, &hash.replace('=', "")),
            EXAMPLE.replace(hash, &vec![hash; 61].join("\n")),
            EXAMPLE.replace("\n20852163", "\n020852163"),
            EXAMPLE.replace("\n20852163", ""),
            EXAMPLE.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", "CsUY"),
            EXAMPLE.replace('\n', "\r\n"),
            String::new(),
        ] {
            assert_eq!(AddCheckpoint::parse(&bad), None, "{bad}");
        }
        assert!(AddCheckpoint::parse(&EXAMPLE.replace(hash, &vec![hash; 60].join("\n"))).is_some());
    }

    #[test]
    fn a_checkpoint_may_have_extensions_but_no_empty_line() {
        let text = "o\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let read = Checkpoint::parse(text).unwrap();
        assert_eq!(Checkpoint::parse(&format!("{text}more\n")), Some(read));
        for bad in [format!("{text}\n"), format!("\n{text}"), text.trim_end().to_owned(), text.replace('o', "")] {
            assert_eq!(Checkpoint::parse(&bad), None, "{bad:?}");
        }
    }
}
