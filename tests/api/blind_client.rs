//! A client that checks blindly, in Rust. Those that ship are in `clients/blind/`.

use jiff::civil::Date;
use lostcard::crypto::blind::{BaseIndex, BlindEntry, BlindStatus, Evaluated};
use lostcard::crypto::signing::{base64url, from_base64url};
use lostcard::crypto::tlog::tile::{Level, TileName, WIDTH, entries};
use lostcard::crypto::tlog::{Checkpoint, Note};
use lostcard::domain::verdict::Verdict;
use serde_json::{Value, json};
use voprf_ng::{EvaluationElement, Group, Proof, Ristretto255, VoprfClient};

use crate::bodies::digest_bytes;
use crate::helpers::{Answer, TestApp, TestClient, eventually};

pub(crate) const EVALUATIONS: &str = "/v1/blind/evaluations";

/// A client with a base and the changes since.
pub(crate) struct Client<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) by: TestClient,
    pub(crate) key: String,
    pub(crate) public: [u8; 32],
    pub(crate) base: Vec<u8>,
    pub(crate) begin: u64,
    pub(crate) changes: Vec<[u8; 20]>,
}

/// A number that was blinded.
pub(crate) struct Blinded {
    pub(crate) input: Vec<u8>,
    pub(crate) state: VoprfClient<Ristretto255>,
    pub(crate) sent: String,
}

pub(crate) fn blind(number: &str) -> Blinded {
    let input = [b"lostcard:blind:v1:".as_slice(), &digest_bytes(number)].concat();
    let blinded = VoprfClient::blind(&input, &mut rand::rng()).unwrap();
    Blinded { input, sent: base64url(&blinded.message.serialize()), state: blinded.state }
}

pub(crate) fn bytes(text: &Value) -> Vec<u8> {
    from_base64url(text.as_str().unwrap()).unwrap()
}

pub(crate) async fn key_list(app: &TestApp, by: &TestClient) -> Vec<Value> {
    let answer = app.get(&by.token, "/v1/blind/keys").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["keys"].as_array().unwrap().clone()
}

impl<'a> Client<'a> {
    /// With the newest key, once it has a base; `than`: a newer one than that.
    pub(crate) async fn of(app: &'a TestApp, by: TestClient, than: &str) -> Self {
        eventually("a base", || async { key_list(app, &by).await.first().is_some_and(|key| key["key"] != than) }).await;
        let key = key_list(app, &by).await.remove(0);
        let path = format!("/v1/blind/bases/{}", key["epoch"].as_str().unwrap());
        let response = app.request("GET", &path).bearer_auth(&by.token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let base = response.bytes().await.unwrap().to_vec();
        assert_eq!(base.len() as u64, key["base_bytes"].as_u64().unwrap());
        let begin = key["base_seq"].as_u64().unwrap();
        assert_eq!(BaseIndex::parse(&base).unwrap().sequence(), begin);
        let public = bytes(&key["public_key"]).try_into().unwrap();
        Self { app, by, key: key["key"].as_str().unwrap().to_owned(), public, base, begin, changes: Vec::new() }
    }

    pub(crate) fn known(&self) -> u64 {
        self.begin + self.changes.len() as u64
    }

    /// What is sent.
    pub(crate) fn question(&self, blinded: &[Blinded]) -> Value {
        let elements: Vec<_> = blinded.iter().map(|blinded| &blinded.sent).collect();
        json!({"key": self.key, "blinded": elements, "after": self.known(), "purpose": "lodging"})
    }

    pub(crate) async fn ask(&self, blinded: &[Blinded]) -> Answer {
        self.app.post(&self.by.token, EVALUATIONS, &self.question(blinded)).await
    }

    /// Reads what the log has behind the last change that is known.
    pub(crate) async fn catch_up(&mut self) {
        let keys = key_list(self.app, &self.by).await;
        let s0 = keys.iter().find(|key| key["key"] == *self.key).unwrap()["s0"].as_u64().unwrap();
        let log = format!("/registry-log/{}", self.key);
        let answer = self.app.get("", &format!("{log}/checkpoint")).await;
        assert_eq!(answer.header("registry-log-begin"), s0.to_string());
        let size = Checkpoint::parse(Note::parse(&answer.text).unwrap().text()).unwrap().size;
        while self.known() - s0 < size {
            let (index, place) = ((self.known() - s0) / WIDTH, (self.known() - s0) % WIDTH);
            let name = TileName { level: Level::Entries, index, width: WIDTH.min(size - index * WIDTH) };
            let request = self.app.request("GET", &format!("{log}/tile/{name}")).bearer_auth(&self.by.token);
            let bundle = request.send().await.unwrap().bytes().await.unwrap();
            let bundle = entries(&bundle).unwrap();
            let place = usize::try_from(place).unwrap();
            // What is longer than 20 bytes lists nobody.
            self.changes.extend(bundle[place..].iter().map(|entry| *entry.first_chunk::<20>().unwrap()));
        }
    }

    /// What is known of numbers.
    pub(crate) async fn look_up(&mut self, numbers: &[&str]) -> Vec<Evaluated> {
        let found = self.try_look_up(numbers).await;
        found.unwrap_or_else(|refused| panic!("{} {}", refused.status, refused.text))
    }

    /// The same, or the refusal.
    pub(crate) async fn try_look_up(&mut self, numbers: &[&str]) -> Result<Vec<Evaluated>, Answer> {
        let blinded: Vec<_> = numbers.iter().map(|number| blind(number)).collect();
        let answer = self.ask(&blinded).await;
        if answer.status != 200 {
            return Err(answer);
        }
        let answer = answer.json();
        let elements = answer["evaluated"].as_array().unwrap().iter().map(bytes);
        let elements: Vec<_> = elements.map(|bytes| EvaluationElement::deserialize(&bytes).unwrap()).collect();
        let proof = Proof::deserialize(&bytes(&answer["proof"])).unwrap();
        let public = Ristretto255::deserialize_elem(&self.public).unwrap();
        let (inputs, states): (Vec<_>, Vec<_>) = blinded.into_iter().map(|it| (it.input, it.state)).unzip();
        let outputs: Vec<_> = VoprfClient::batch_finalize(&inputs, &states, &elements, &proof, public)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let changes = bytes(&answer["changes"]);
        let (changes, rest) = changes.as_chunks::<20>();
        assert!(rest.is_empty());
        self.changes.extend(changes);
        assert_eq!(answer["registry_sequence"].as_u64().unwrap(), self.known());
        Ok(outputs.iter().map(|output| Evaluated::from_bytes(output.0)).collect())
    }

    pub(crate) fn decide(&self, evaluated: &Evaluated, presented: Option<&str>) -> &'static str {
        let presented = presented.map(|day| day.parse::<Date>().unwrap());
        let changes = (self.begin + 1..).zip(&self.changes);
        let of_number = changes.filter_map(|(at, bytes)| BlindEntry::from_bytes(*bytes).read(evaluated, at));
        let statuses: Vec<BlindStatus> = of_number.last().map_or_else(
            || {
                let index = BaseIndex::parse(&self.base).unwrap();
                let (_, from, to) = index.part(evaluated);
                let to = to.map_or(self.base.len(), |to| to as usize);
                index.read(evaluated, &self.base[from as usize..to]).unwrap()
            },
            |status| vec![status],
        );
        let gravest = statuses.iter().map(|status| status.decide(presented)).max_by_key(|verdict| match verdict {
            Verdict::NotListed => 0,
            Verdict::OtherCardListed => 1,
            Verdict::NumberListed => 2,
            Verdict::CardListed => 3,
        });
        gravest.unwrap_or(Verdict::NotListed).as_str()
    }

    pub(crate) async fn verdict(&mut self, number: &str, presented: Option<&str>) -> &'static str {
        let evaluated = self.look_up(&[number]).await.remove(0);
        self.decide(&evaluated, presented)
    }
}
