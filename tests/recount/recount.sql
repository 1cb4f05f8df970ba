-- Every figure once more, from the words of its definition and from the facts alone: no rows, no cells, no days of rows.
--
-- `facts` holds every fact of every letter in its order `n`; `directory` the mailboxes with their unit and the mailbox above it; `people`
-- who works where; `working` the working days; `periods` (id, starts, ends) half-open spans of time; `today` one moment after all of them.
-- What comes out is `events`: one line for each thing that counts, with the mailbox, side, figure and key that it counts under and the span
-- of the moment by which it counts: `moment` counts where starts <= moment < ends; `until`, the end of a limit's last day, where starts < until <= ends.

-- ── from whom a report is kept ───────────────────────────────────────────────────────────────────────────────────────

-- What a letter is about: as its citizen chose it, or as staff corrected it last (R3.2).
CREATE TABLE about AS
SELECT letter_id, arg_max(coalesce(after, classification), n) AS what
FROM facts WHERE fact IN ('LetterReceived', 'LetterReclassified') GROUP BY letter_id;

-- Units that never see a letter: the reported mailbox's, and those where reported people work; not the mayor's for its people.
CREATE TABLE hidden AS
SELECT letter_id, d.unit FROM about JOIN directory d ON d.code = what.reported_mailbox
UNION
SELECT letter_id, d.unit
FROM (SELECT letter_id, unnest(what.reported_people) AS subject FROM about) r
JOIN people p ON lower(p.subject) = lower(r.subject) JOIN directory d ON d.code = p.mailbox WHERE d.above IS NOT NULL;

-- The mailbox a letter counts for: the one that received it first, or the one above where that unit never sees it.
CREATE TABLE letters AS
SELECT f.letter_id, f.moment, a.what,
       CASE WHEN h.unit IS NULL THEN f.mailbox ELSE coalesce(d.above, f.mailbox) END AS mailbox
FROM facts f JOIN about a USING (letter_id) JOIN directory d ON d.code = f.mailbox
LEFT JOIN hidden h ON h.letter_id = f.letter_id AND h.unit = d.unit
WHERE f.fact = 'LetterReceived';

CREATE TABLE events (letter_id VARCHAR, mailbox VARCHAR, side VARCHAR, figure VARCHAR, key VARCHAR,
                     moment TIMESTAMPTZ, until TIMESTAMPTZ, gone TIMESTAMPTZ);

-- ── of letters ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- received: by the moment of receipt; natures, domains and regions of the same letters, as corrected.
INSERT INTO events SELECT letter_id, mailbox, 'letters', 'received', '', moment, NULL, NULL FROM letters;
INSERT INTO events SELECT letter_id, mailbox, 'letters', 'nature', what.nature, moment, NULL, NULL FROM letters;
INSERT INTO events SELECT letter_id, mailbox, 'letters', 'domain', what.domain, moment, NULL, NULL FROM letters;
INSERT INTO events SELECT letter_id, mailbox, 'letters', 'region', what.region, moment, NULL, NULL FROM letters;

-- read_late: nobody had dealt with it at the end of its reading day; by that day.
INSERT INTO events
SELECT o.letter_id, l.mailbox, 'letters', 'read_late', '', NULL, o.due_at, NULL
FROM facts o JOIN letters l USING (letter_id)
WHERE o.fact = 'ReadingOverdue' AND NOT EXISTS (
    SELECT 1 FROM facts r WHERE r.letter_id = o.letter_id AND r.moment < o.due_at
    AND r.fact IN ('LetterRead', 'LetterRegistered', 'LetterDiscarded', 'LetterNoted'));

-- finished: answered, not accepted or noted, by the first of these moments; open_letters: received and not finished at the end of the period.
CREATE TABLE finished AS
SELECT letter_id, min(moment) AS moment FROM facts
WHERE fact IN ('CitizenAnswered', 'LetterDiscarded', 'LetterNoted') GROUP BY letter_id;
INSERT INTO events
SELECT letter_id, l.mailbox, 'letters', 'finished', '', f.moment, NULL, NULL FROM finished f JOIN letters l USING (letter_id);
INSERT INTO events
SELECT letter_id, l.mailbox, 'letters', 'open_letters', '', l.moment, NULL, f.moment
FROM letters l LEFT JOIN finished f USING (letter_id);

-- answer_days: working days after the day of receipt, up to and including that of the first answer.
CREATE MACRO chongqing(t) AS CAST(t + INTERVAL 8 HOUR AS DATE);
CREATE TABLE answers AS
SELECT letter_id, min(moment) AS moment FROM facts WHERE fact = 'CitizenAnswered' GROUP BY letter_id;
CREATE TABLE taken AS
SELECT letter_id, '' AS handoff_id, l.moment AS began, a.moment AS done FROM letters l JOIN answers a USING (letter_id);
INSERT INTO events
SELECT t.letter_id, any_value(l.mailbox), 'letters', 'answer_days', CAST(count(w.day) AS VARCHAR), any_value(t.done), NULL, NULL
FROM taken t JOIN letters l USING (letter_id)
LEFT JOIN working w ON w.day > chongqing(t.began) AND w.day <= chongqing(t.done)
GROUP BY t.letter_id;

-- registered, noted, discarded per reason: by the moment of that decision; answered, published, withheld: by the first time.
INSERT INTO events
SELECT f.letter_id, any_value(l.mailbox), 'letters', w.figure, '', min(f.moment), NULL, NULL
FROM facts f JOIN letters l USING (letter_id)
JOIN (VALUES ('LetterRegistered', 'registered'), ('LetterNoted', 'noted'), ('CitizenAnswered', 'answered'),
             ('LetterPublished', 'published'), ('PublicationWithheld', 'withheld')) w(fact, figure) ON w.fact = f.fact
GROUP BY f.letter_id, w.figure;
INSERT INTO events
SELECT f.letter_id, l.mailbox, 'letters', 'discarded', f.reason, f.moment, NULL, NULL
FROM facts f JOIN letters l USING (letter_id) WHERE f.fact = 'LetterDiscarded';

-- ── of hand-offs ─────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE handoffs AS
SELECT s.letter_id, s.handoff_id, s.n, s.moment, s.way, s.sender, s.receiver,
       (SELECT min(v.n) FROM facts v WHERE v.letter_id = s.letter_id AND v.handoff_id = s.handoff_id
        AND v.fact IN ('HandoffReturned', 'SlipWithdrawn')) AS void_n
FROM facts s WHERE s.fact = 'HandoffSent';

-- Assignments from both ends: for the assigner per assignee, for the assignee per assigner; never at an end that must not know of it.
CREATE TABLE ends AS
SELECT e.* FROM (
    SELECT letter_id, handoff_id, 'assigned' AS side, sender AS mailbox, receiver AS other, way FROM handoffs
    UNION ALL
    SELECT letter_id, handoff_id, 'undertaken', receiver, sender, way FROM handoffs) e
JOIN directory d ON d.code = e.mailbox
WHERE NOT EXISTS (SELECT 1 FROM hidden h WHERE h.letter_id = e.letter_id AND h.unit = d.unit);

-- assigned, collected, urged, sent back, returned, withdrawn, extensions granted in whole or in part: each by its own moment.
INSERT INTO events
SELECT e.letter_id, e.mailbox, e.side, w.figure, e.other, f.moment, NULL, NULL
FROM facts f
JOIN (VALUES ('HandoffSent', 'assigned'), ('HandoffCollected', 'collected'), ('UrgingSent', 'urged'),
             ('ReplySentBack', 'sent_back'), ('HandoffReturned', 'returned'), ('SlipWithdrawn', 'withdrawn'), ('ExtensionDecided', 'extended')) w(fact, figure)
  ON w.fact = f.fact
JOIN ends e ON e.letter_id = f.letter_id AND e.handoff_id = f.handoff_id
WHERE e.way = 'assign' AND (f.fact <> 'ExtensionDecided' OR f.outcome IN ('granted', 'partly'));

-- dispositions by way (R4.1–R4.4), and noting (R4.5): what each mailbox disposed of, by the moment at which the slip was approved.
INSERT INTO events
SELECT e.letter_id, e.mailbox, 'letters', 'disposed', e.way, h.moment, NULL, NULL
FROM ends e JOIN handoffs h USING (letter_id, handoff_id) WHERE e.side = 'assigned';

-- What is owed on an assignment: a first reply, and one more each time the reply was sent back (R7.3).
CREATE TABLE steps AS
SELECT h.letter_id, h.handoff_id, f.n, f.moment, f.fact, f.due_at,
       count(*) FILTER (f.fact = 'ReplySentBack') OVER (PARTITION BY h.letter_id, h.handoff_id ORDER BY f.n) AS round,
       h.void_n
FROM handoffs h JOIN facts f ON f.letter_id = h.letter_id AND f.n > h.n
WHERE h.way = 'assign'
  AND ((f.handoff_id = h.handoff_id AND f.fact IN ('ReplyDueSet', 'ReplyDueChanged', 'ReplyApproved', 'ReplySentBack'))
       OR f.fact = 'CitizenAnswered');

-- The reply to it is the first that its head approved; the citizen's answer, which finishes the letter, serves where there is none.
CREATE TABLE replies AS
SELECT letter_id, handoff_id, round, arg_min(moment, n) AS moment
FROM steps WHERE fact IN ('ReplyApproved', 'CitizenAnswered') AND (void_n IS NULL OR n < void_n)
GROUP BY letter_id, handoff_id, round;

-- The limit in force is the one that was set last.
CREATE TABLE limits AS
SELECT letter_id, handoff_id, round, arg_max(due_at, n) AS due_at
FROM steps WHERE fact IN ('ReplyDueSet', 'ReplyDueChanged') GROUP BY letter_id, handoff_id, round;

-- answered_in_time: before 24:00 of the last day; answered_late: later; both by the moment of the reply.
INSERT INTO events
SELECT e.letter_id, e.mailbox, e.side,
       CASE WHEN l.due_at IS NOT NULL AND r.moment >= l.due_at THEN 'answered_late' ELSE 'answered_in_time' END,
       e.other, r.moment, NULL, NULL
FROM replies r LEFT JOIN limits l USING (letter_id, handoff_id, round) JOIN ends e USING (letter_id, handoff_id);

-- became_overdue: the limit came and there was no reply; by its last day; not of what was returned or withdrawn.
-- overdue: those of them that still had none at the end of the period, however long ago the limit passed.
INSERT INTO events
SELECT e.letter_id, e.mailbox, e.side, unnest(['became_overdue', 'overdue']), e.other, NULL, l.due_at, r.moment
FROM limits l LEFT JOIN replies r USING (letter_id, handoff_id, round)
JOIN handoffs h USING (letter_id, handoff_id) JOIN ends e USING (letter_id, handoff_id)
WHERE h.void_n IS NULL AND l.due_at <= (SELECT moment FROM today) AND (r.moment IS NULL OR r.moment >= l.due_at);

-- open: sent, or sent back, and no reply yet at the end of the period, nor returned or withdrawn.
INSERT INTO events
SELECT e.letter_id, e.mailbox, e.side, 'open', e.other, b.moment, NULL, least(r.moment, v.moment)
FROM (SELECT letter_id, handoff_id, 0 AS round, moment FROM handoffs WHERE way = 'assign'
      UNION ALL SELECT letter_id, handoff_id, round, moment FROM steps WHERE fact = 'ReplySentBack') b
JOIN ends e USING (letter_id, handoff_id) JOIN handoffs h USING (letter_id, handoff_id)
LEFT JOIN replies r ON r.letter_id = b.letter_id AND r.handoff_id = b.handoff_id AND r.round = b.round
LEFT JOIN facts v ON v.letter_id = b.letter_id AND v.n = h.void_n;

-- reply_days: working days after the day of sending, up to and including that of the first reply.
CREATE TABLE first_replies AS
SELECT r.letter_id, r.handoff_id, any_value(r.moment) AS done, CAST(count(w.day) AS VARCHAR) AS days
FROM replies r JOIN handoffs h USING (letter_id, handoff_id)
LEFT JOIN working w ON w.day > chongqing(h.moment) AND w.day <= chongqing(r.moment)
WHERE r.round = 0 GROUP BY r.letter_id, r.handoff_id;
INSERT INTO events
SELECT e.letter_id, e.mailbox, e.side, 'reply_days', f.days, f.done, NULL, NULL
FROM first_replies f JOIN ends e USING (letter_id, handoff_id);

-- ── in periods ───────────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE counted AS
SELECT p.id AS period, e.mailbox, e.side, e.figure, e.key, count(*) AS number
FROM periods p JOIN events e ON CASE
  WHEN e.figure IN ('overdue', 'open', 'open_letters')  -- what is there at the end, however long
  THEN (e.until <= p.ends OR e.moment < p.ends) AND (e.gone IS NULL OR e.gone >= p.ends)
  ELSE (e.moment >= p.starts AND e.moment < p.ends) OR (e.until > p.starts AND e.until <= p.ends) END
GROUP BY ALL;
