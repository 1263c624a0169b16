"""Vaults at rest: encrypted, one for each conversation, exact after any number of turns, gone when the key is.

``BEDSIDE_VAULT_CONVERSATIONS`` sets how many conversations take turns at once (200 by default; the goal is 100,000).
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets

import pytest
from sqlalchemy import text

from app.contracts.site import Site
from app.conversations.pseudonyms import PseudonymStore
from app.db.cipher import TextCipher
from app.db.models import new_id
from app.db.session import Database
from app.errors import StoreUnavailable
from app.redaction.restore import restore
from tests.factories import add_patient

pytestmark = pytest.mark.anyio

CONVERSATIONS = int(os.environ.get("BEDSIDE_VAULT_CONVERSATIONS", "200"))
TURNS = 3
AT_ONCE = 16


async def conversations(database: Database, site: Site, count: int) -> list[str]:
    """Ids of new conversations of one patient."""
    owner, _token = await add_patient(database, site)
    ids = [new_id() for _ in range(count)]
    query = text(
        "INSERT INTO conversations (id, site_id, session_id, language, handler, epoch, version, last_seq, created_at, "
        "updated_at) SELECT k, :site, :owner, 'en', 'assistant', 0, 0, 0, now(), now() "
        "FROM unnest(CAST(:ids AS text[])) AS k"
    )
    for start in range(0, count, 5_000):
        async with database.session() as session:
            await session.execute(query, {"site": site.id, "owner": owner, "ids": ids[start : start + 5_000]})
    return ids


def values_of(conversation: str, turn: int) -> list[tuple[str, str]]:
    """What a patient tells in a turn; every conversation has its own, and uses the same tokens."""
    return [
        ("PERSON", f"Name{turn} {conversation[:12]}"),
        ("PHONE", f"515-555-01{turn:02} ext {conversation}"),
        ("DATE", "March 4, 2026"),
    ]


async def test_conversations_that_take_turns_at_once_get_back_exactly_their_own(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    store, ids = PseudonymStore(cipher), await conversations(database, site, CONVERSATIONS)
    texts: dict[str, list[tuple[str, str]]] = {conversation: [] for conversation in ids}
    gate = asyncio.Semaphore(AT_ONCE)

    async def take_turn(conversation: str, turn: int) -> None:
        async with gate, database.session() as session:
            vault = await store.load(session, conversation)
            told = values_of(conversation, turn)
            tokens = [vault.token(kind, value) for kind, value in told]
            await store.save(session, conversation, vault)
        texts[conversation].append((" and ".join(tokens), " and ".join(value for _, value in told)))

    for turn in range(TURNS):
        order = random.Random(turn).sample(ids, len(ids))
        for start in range(0, len(order), 2_000):
            await asyncio.gather(*(take_turn(conversation, turn) for conversation in order[start : start + 2_000]))

    wrong = crossed = 0
    for start in range(0, len(ids), 500):
        chosen = ids[start : start + 500]
        async with database.session() as session:
            vaults = {conversation: await store.load(session, conversation) for conversation in chosen}
        for conversation, neighbour in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
            for redacted, told in texts[conversation]:
                wrong += restore(redacted, vaults[conversation]) != told
                crossed += len(chosen) > 1 and conversation[:12] in restore(redacted, vaults[neighbour])
    assert (wrong, crossed) == (0, 0)
    one = texts[ids[0]]
    assert one[0][0] == "<PERSON_1001> and <PHONE_1001> and <DATE_1001>"
    assert one[2][0] == "<PERSON_1003> and <PHONE_1003> and <DATE_1001>"


async def test_values_are_encrypted_and_equal_ones_look_different(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    store, ids = PseudonymStore(cipher), await conversations(database, site, 2)
    for conversation in ids:
        async with database.session() as session:
            vault = await store.load(session, conversation)
            vault.token("PERSON", "Quorvella Zandrakis")
            await store.save(session, conversation, vault)
    async with database.session() as session:
        query = text("SELECT value_encrypted FROM pseudonyms WHERE conversation_id = ANY(:ids)")
        stored = [bytes(row.value_encrypted) for row in await session.execute(query, {"ids": ids})]
    assert len(set(stored)) == 2
    assert not any(b"quorvella" in value.lower() for value in stored)


async def test_without_the_key_nothing_can_be_restored_and_the_rest_stays(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    """Destroying a key erases what it encrypted, in copies of the database too."""
    (old, new), later = await conversations(database, site, 2), secrets.token_bytes(32)
    rotated = PseudonymStore(TextCipher([later, bytes(range(32))]))
    for store, conversation in ((PseudonymStore(cipher), old), (rotated, new)):
        async with database.session() as session:
            vault = await store.load(session, conversation)
            vault.token("PERSON", "Quorvella Zandrakis")
            await store.save(session, conversation, vault)
    destroyed = PseudonymStore(TextCipher([later]))
    async with database.session() as session:
        with pytest.raises(StoreUnavailable, match="not in the key file") as caught:
            await destroyed.load(session, old)
        assert "Quorvella" not in str(caught.value)
        assert (await destroyed.load(session, new)).value("<PERSON_1001>") == "Quorvella Zandrakis"


async def test_a_turn_and_staff_writing_at_the_same_time_never_share_a_token(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    """Each text must restore to its own words; a turn is not held up by a member of staff."""
    store, (conversation,) = PseudonymStore(cipher), await conversations(database, site, 1)
    async with database.session() as one, database.session() as two:
        first, second = store.vault(conversation, [], []), await store.load(two, conversation)
        turn, reply = first.token("PERSON", "Quorvella"), second.token("PERSON", "Tansy")
        await store.save(one, conversation, first)
        await one.commit()
        await store.save(two, conversation, second)
        await two.commit()
    async with database.session() as session:
        vault = await store.load(session, conversation)
    assert (restore(turn, vault), restore(reply, vault)) == ("Quorvella", "Tansy")


async def test_staff_writing_at_the_same_time_wait_for_each_other(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    store, (conversation,) = PseudonymStore(cipher), await conversations(database, site, 1)

    async def write(name: str) -> str:
        async with database.session() as session:
            vault = await store.load(session, conversation)
            token = vault.token("PERSON", name)
            await asyncio.sleep(0.05)
            await store.save(session, conversation, vault)
            await session.commit()
        return token

    tokens = await asyncio.gather(write("Quorvella"), write("Tansy"), write("Ilse"))
    async with database.session() as session:
        vault = await store.load(session, conversation)
    assert [restore(token, vault) for token in tokens] == ["Quorvella", "Tansy", "Ilse"]
    assert vault.token("PERSON", "Bram") == "<PERSON_1004>"


async def test_a_value_that_is_moved_to_another_conversation_does_not_open(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    """Whoever can write to the database, and has no key, must not be able to have one patient read another's words."""
    store, (hers, his) = PseudonymStore(cipher), await conversations(database, site, 2)
    async with database.session() as session:
        vault = await store.load(session, hers)
        vault.token("PERSON", "Quorvella Zandrakis")
        await store.save(session, hers, vault)
        await session.execute(
            text("UPDATE pseudonyms SET conversation_id = :his WHERE conversation_id = :hers"),
            {"his": his, "hers": hers},
        )
    async with database.session() as session:
        with pytest.raises(StoreUnavailable):
            await store.load(session, his)
