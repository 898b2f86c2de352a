//! `backup` and `restore` of the embedded store: what is refused, by which exit code, and that nothing is left of it then.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use snapbox::cmd::OutputAssert;

use crate::run::{Folder, stderr, stdout};

/// Made by age-keygen for this test.
const RECIPIENT: &str = "age1sm75elsudy6c53uf36q7r0080nyw0k0p4j8d3d7enks9g2z0mfxspnk43u";
const IDENTITY: &str = "AGE-SECRET-KEY-1XJVH359LGP8YGQQ5NH3VG8LM825F6ARW3K4WARLKCLR9N5NQY9GS4R8M7X";
/// Of another pair.
const OTHER_IDENTITY: &str = "AGE-SECRET-KEY-1CUJK3QVDCXHVAXGSU6S2VCC8D6WD6H7VWSHL7Z3Q6LVNHSEWFEJQP2KRPX";

/// A store with an organization, and a back-up of it with sealed keys.
fn backed_up() -> Folder {
    let folder = Folder::new();
    folder.organization();
    folder.run(&["backup", "made", "--keys-for", RECIPIENT]).success();
    for (name, text) in [("identity.txt", IDENTITY), ("other.txt", OTHER_IDENTITY)] {
        folder.write(name, text);
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn restore(folder: &Folder) -> OutputAssert {
    folder.run(&["restore", "made", "--data", "new", "--identity", "identity.txt"])
}

#[track_caller]
fn assert_refused(folder: &Folder, output: &OutputAssert, why: &str) {
    let said = stderr(output);
    assert!(said.contains(why), "{said}");
    assert!(!folder.path().join("new").exists(), "nothing is made");
    let hidden = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".lostcard-"));
    assert_eq!(hidden.count(), 0, "nothing is left beside it");
}

#[test]
fn keys_are_in_a_back_up_only_for_whom_they_are_sealed() {
    let folder = Folder::new();
    folder.organization();
    let plain = folder.json(&["backup", "plain", "--json"]);
    assert!(plain["keys"].is_null());
    assert!(stdout(&folder.run(&["backup", "told"])).contains("no keys are in it"));
    let names = |of: &str| {
        let files = fs::read_dir(folder.path().join(of)).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("plain"), ["SHA256SUMS", "backup.json", "lostcard.db"]);
    folder.run(&["restore", "plain", "--data", "new"]).success();
    let output = folder.run(&["keys", "init", "--store", "--data", "new"]).code(1);
    assert!(stderr(&output).contains("the key folder is empty"), "{}", stderr(&output));
    folder.run(&["keys", "init", "--store", "--data", "new", "--keys", "lostcard-data/keys"]).success();

    let sealed = folder.json(&["backup", "sealed", "--json", "--keys-for", RECIPIENT]);
    assert_eq!(sealed["keys"]["recipients"], serde_json::json!([RECIPIENT]));
    assert_eq!(names("sealed"), ["SHA256SUMS", "backup.json", "keys.age", "lostcard.db"]);
    for name in names("sealed") {
        let mode = fs::metadata(folder.path().join("sealed").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let secret = fs::read_to_string(folder.path().join("lostcard-data/keys/seal-1.key")).unwrap();
    let holds = |name: &str, text: &str| {
        let bytes = fs::read(folder.path().join("sealed").join(name)).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(names("sealed").iter().all(|name| !holds(name, secret.trim())), "no key is there in plain text");
}

#[test]
fn a_restored_store_has_its_keys_and_another_epoch() {
    let folder = backed_up();
    let told = stdout(&restore(&folder).success());
    assert!(told.contains("old epoch ") && told.contains("new epoch "), "{told}");
    let [old, new] = ["lostcard-data", "new"].map(|data| {
        let listed = folder.json(&["client", "list", "--data", data, "--json"]);
        let keys = fs::read(folder.path().join(data).join("keys/pepper-1.key")).unwrap();
        (listed, keys)
    });
    assert_eq!(old, new);
    folder.run(&["restore", "made", "--data", "kept", "--keys", "lostcard-data/keys"]).success();
    assert!(!folder.path().join("kept/keys").exists(), "keys that are named stay where they are");
}

#[test]
fn a_damaged_or_cut_back_up_is_refused() {
    let folder = backed_up();
    let made = folder.path().join("made");
    for name in ["lostcard.db", "keys.age", "backup.json", "SHA256SUMS"] {
        let whole = fs::read(made.join(name)).unwrap();
        let mut spoilt = whole.clone();
        let place = spoilt.len() / 2;
        spoilt[place] ^= 1;
        fs::write(made.join(name), spoilt).unwrap();
        assert_refused(&folder, &restore(&folder).code(65), "damaged");
        fs::write(made.join(name), &whole[..whole.len() - 1]).unwrap();
        let cut = restore(&folder);
        // The last byte of the sums is the end of a line.
        if name == "SHA256SUMS" {
            cut.success();
            fs::remove_dir_all(folder.path().join("new")).unwrap();
        } else {
            assert_refused(&folder, &cut.code(65), "damaged");
        }
        fs::write(made.join(name), &whole[..whole.len() / 2]).unwrap();
        assert_refused(&folder, &restore(&folder).code(65), "damaged");
        fs::remove_file(made.join(name)).unwrap();
        let why = if name == "backup.json" { "holds no back-up" } else { "damaged" };
        assert_refused(&folder, &restore(&folder).code(65), why);
        fs::write(made.join(name), whole).unwrap();
    }
    restore(&folder).success();
}

#[test]
fn a_newer_versions_back_up_is_refused() {
    let folder = backed_up();
    let path = folder.path().join("made/backup.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert_refused(&folder, &restore(&folder).code(65), "in a form that this version does not know");
    let changed = text.replace("\"schema\": [", "\"schema\": [ 990001,");
    assert_ne!(changed, text);
    fs::write(&path, &changed).unwrap();
    sum_again(&folder.path().join("made"), &text, &changed);
    assert_refused(&folder, &restore(&folder).code(65), "with tables that this version does not know");
}

/// Puts the sum of a changed manifest in the place of the old one, as its writer would have.
fn sum_again(made: &Path, old: &str, new: &str) {
    let [old, new] = [old, new].map(|text| hex::encode(Sha256::digest(text)));
    let sums = fs::read_to_string(made.join("SHA256SUMS")).unwrap();
    assert!(sums.contains(&old));
    fs::write(made.join("SHA256SUMS"), sums.replace(&old, &new)).unwrap();
}

#[test]
fn other_keys_and_other_places_are_refused() {
    let folder = backed_up();
    let args = |rest: &[&'static str]| [&["restore", "made", "--data", "new"], rest].concat();
    let run = |rest: &[&'static str]| folder.run(&args(rest));
    assert_refused(&folder, &run(&["--identity", "other.txt"]).code(65), "sealed for another one");
    assert_refused(&folder, &run(&["--identity", "made/backup.json"]).code(65), "no identity of age");
    folder.run(&["keys", "init", "--store", "--data", "stranger"]).success();
    assert_refused(&folder, &run(&["--keys", "stranger/keys"]).code(65), "are not those that the store was made with");
    assert_refused(&folder, &run(&["--keys", "x", "--identity", "identity.txt"]).code(2), "not from both");
    assert_refused(&folder, &run(&["--database-url", "sqlite:x"]).code(2), "leave --database-url out");
    fs::set_permissions(folder.path().join("identity.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_refused(&folder, &run(&["--identity", "identity.txt"]).code(2), "can be read or changed by others");
    assert_refused(&folder, &folder.run(&["restore", "stranger", "--data", "new"]).code(65), "holds no back-up");

    folder.run(&["restore", "made", "--data", "stranger"]).code(1);
    let output = folder.run(&["backup", "made"]).code(1);
    assert!(stderr(&output).contains("is there already"), "{}", stderr(&output));
    let output = folder.run(&["backup", "b", "--data", "nowhere"]).code(1);
    assert!(stderr(&output).contains("there is no store yet"), "{}", stderr(&output));
    assert!(!folder.path().join("nowhere").exists() && !folder.path().join("b").exists());
    folder.run(&["backup", "b", "--keys-for", "age1"]).code(2);
}
