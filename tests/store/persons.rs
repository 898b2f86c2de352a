//! Persons of the operator: the newest word about each holds, in whatever order nodes note it, and what they did last.

use lostcard::domain::audit::{Action, Deed};
use lostcard::domain::client::Actor;
use lostcard::domain::ids::PersonId;
use lostcard::domain::instant::UnixMs;
use lostcard::domain::person::{Role, ShortName};
use lostcard::store::persons::MetPerson;

use crate::backend::Database;
use crate::records::{NOW_MS, id, write};

fn met(id: PersonId, name: &str, role: Role, group: &str, at: i64) -> MetPerson {
    let name = ShortName::stored(name).unwrap();
    MetPerson { id, name, role, group: Some(group.to_owned()), at_ms: UnixMs::new(at) }
}

pub(crate) async fn the_newest_word_about_a_person_holds(database: &Database) {
    let store = database.open().await;
    let (wang, zhao, li) = (PersonId::from_u128(7), PersonId::from_u128(9), PersonId::from_u128(11));
    let first = [met(wang, "wang", Role::Operator, "ops", 50), met(zhao, "zhao", Role::Viewer, "watch", 60)];
    store.note_persons(&first).await.unwrap();
    // What a slow node met before, and what another one met after that.
    store.note_persons(&[met(wang, "old name", Role::Viewer, "watch", 40)]).await.unwrap();
    store.note_persons(&[met(zhao, "zhao min", Role::Security, "sec", 70)]).await.unwrap();
    let listed = store.list_persons(None, 5).await.unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|one| {
            let seen = (one.first_seen_at_ms.get(), one.last_seen_at_ms.get());
            (one.id, one.name.as_str(), one.role, one.group.as_deref(), seen)
        })
        .collect();
    assert_eq!(
        told,
        [
            (wang, "wang", Some(Role::Operator), Some("ops"), (40, 50)),
            (zhao, "zhao min", Some(Role::Security), Some("sec"), (60, 70)),
        ]
    );
    assert!(listed.iter().all(|one| one.last_act.is_none()));
    assert_eq!(store.list_persons(Some(wang), 5).await.unwrap(), listed[1..]);
    assert_eq!(store.list_persons(None, 1).await.unwrap(), listed[..1]);
    // Acts: of who was met, of who was not met yet, and of a client without a person.
    let by = |person: Option<PersonId>, name: &str| Actor {
        person: ShortName::stored(name),
        person_id: person,
        ..Actor::new(id(), id())
    };
    for (actor, action) in [
        (by(Some(wang), "wang"), Action::OfficeDescribed),
        (by(Some(wang), "wang"), Action::AccessesRead),
        (by(Some(li), "li"), Action::OfficeDescribed),
        (by(None, "clerk"), Action::OfficeDescribed),
    ] {
        write(&store, async |tx| tx.record_deed(&Deed::of_many(actor, action), NOW_MS).await.unwrap()).await;
    }
    let acts = async || {
        let all = store.list_persons(None, 5).await.unwrap();
        all.into_iter().map(|one| (one.id, one.role, one.last_act.map(|(act, _)| act))).collect::<Vec<_>>()
    };
    let act = |action: Action| Some(action.as_str().to_owned());
    let (of_wang, of_zhao) =
        ((wang, Some(Role::Operator), act(Action::AccessesRead)), (zhao, Some(Role::Security), None));
    assert_eq!(acts().await, [of_wang.clone(), of_zhao.clone(), (li, None, act(Action::OfficeDescribed))]);
    // Met before the act was noted, and noted after it.
    store.note_persons(&[met(li, "li", Role::Security, "sec", NOW_MS.get() - 1)]).await.unwrap();
    let of_li = (li, Some(Role::Security), act(Action::OfficeDescribed));
    assert_eq!(acts().await, [of_wang, of_zhao, of_li], "the act stays");
}
