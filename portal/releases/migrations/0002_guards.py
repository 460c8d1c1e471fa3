"""Triggers that hold against every path (psql, another program, a mistake here) what portal.releases promises.

- A release changes its state only by an event, and only as releases_releasetransition says.
- Events follow each other without a gap and are never changed.
- The content of a release that is not a candidate is never changed; no release is ever deleted.
"""

from typing import Any

from django.db import migrations

from portal.releases.states import TRANSITIONS

GUARDS = """
CREATE FUNCTION releases_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what is in it stays', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION releases_guard_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  state_now text;
  last record;
BEGIN
  SELECT state INTO state_now FROM releases_release WHERE id = NEW.release_id FOR UPDATE;
  SELECT number, sha256 INTO last FROM releases_releaseevent WHERE release_id = NEW.release_id ORDER BY number DESC LIMIT 1;
  IF NEW.number <> coalesce(last.number, 0) + 1 OR NEW.previous <> coalesce(last.sha256, '') THEN
    RAISE EXCEPTION 'event % of release % does not follow its event %', NEW.number, NEW.release_id, coalesce(last.number, 0)
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.before <> (CASE WHEN last.number IS NULL THEN '' ELSE state_now END) THEN
    RAISE EXCEPTION 'event % of release %: the state is %, not %', NEW.number, NEW.release_id, state_now, NEW.before
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.phase = 'done' AND NOT EXISTS (
      SELECT FROM releases_releasetransition t WHERE t.action = NEW.action AND t.before = NEW.before AND t.after = NEW.after)
    OR NEW.phase <> 'done' AND NEW.after <> NEW.before
  THEN
    RAISE EXCEPTION '% does not lead from % to %', NEW.action, NEW.before, NEW.after USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION releases_follow_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE releases_release SET state = NEW.after WHERE id = NEW.release_id AND state <> NEW.after;
  RETURN NULL;
END $$;

CREATE FUNCTION releases_guard_release() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'candidate' THEN
      RAISE EXCEPTION 'a release begins as a candidate, not as %', NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
  END IF;
  -- Depth 2: called from the trigger on the events.
  IF NEW.state <> OLD.state AND pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'the state of release % is changed by its events only', OLD.id USING ERRCODE = 'restrict_violation';
  END IF;
  IF ROW(NEW.id, NEW.survey_id, NEW.name) IS DISTINCT FROM ROW(OLD.id, OLD.survey_id, OLD.name)
    OR OLD.state <> 'candidate' AND
      ROW(NEW.parent_id, NEW.head, NEW.bundle_sha256, NEW.seal_sha256, NEW.counts, NEW.files) IS DISTINCT FROM
      ROW(OLD.parent_id, OLD.head, OLD.bundle_sha256, OLD.seal_sha256, OLD.counts, OLD.files)
  THEN
    RAISE EXCEPTION 'release % is %: it never changes', OLD.id, OLD.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION releases_guard_source() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  state_now text;
BEGIN
  SELECT state INTO state_now FROM releases_release WHERE id = NEW.release_id FOR SHARE;
  IF state_now <> 'candidate' THEN
    RAISE EXCEPTION 'release % is %: nothing is added to it', NEW.release_id, state_now USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER guard BEFORE INSERT ON releases_releaseevent FOR EACH ROW EXECUTE FUNCTION releases_guard_event();
CREATE TRIGGER follow AFTER INSERT ON releases_releaseevent FOR EACH ROW EXECUTE FUNCTION releases_follow_event();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON releases_releaseevent FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER kept BEFORE TRUNCATE ON releases_releaseevent FOR EACH STATEMENT EXECUTE FUNCTION releases_refuse();

CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON releases_release FOR EACH ROW EXECUTE FUNCTION releases_guard_release();
CREATE TRIGGER stays BEFORE DELETE ON releases_release FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER kept BEFORE TRUNCATE ON releases_release FOR EACH STATEMENT EXECUTE FUNCTION releases_refuse();

CREATE TRIGGER guard BEFORE INSERT ON releases_releasesource FOR EACH ROW EXECUTE FUNCTION releases_guard_source();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON releases_releasesource FOR EACH ROW EXECUTE FUNCTION releases_refuse();
CREATE TRIGGER kept BEFORE TRUNCATE ON releases_releasesource FOR EACH STATEMENT EXECUTE FUNCTION releases_refuse();

CREATE TRIGGER stays BEFORE INSERT OR UPDATE OR DELETE ON releases_releasetransition
  FOR EACH ROW EXECUTE FUNCTION releases_refuse();
"""

FREED = """
DROP TRIGGER guard ON releases_releaseevent; DROP TRIGGER follow ON releases_releaseevent;
DROP TRIGGER stays ON releases_releaseevent; DROP TRIGGER kept ON releases_releaseevent;
DROP TRIGGER guard ON releases_release; DROP TRIGGER stays ON releases_release; DROP TRIGGER kept ON releases_release;
DROP TRIGGER guard ON releases_releasesource; DROP TRIGGER stays ON releases_releasesource;
DROP TRIGGER kept ON releases_releasesource; DROP TRIGGER stays ON releases_releasetransition;
DROP FUNCTION releases_refuse(); DROP FUNCTION releases_guard_event(); DROP FUNCTION releases_follow_event();
DROP FUNCTION releases_guard_release(); DROP FUNCTION releases_guard_source();
"""


def fill(apps: Any, _schema_editor: Any) -> None:
    rows = apps.get_model("releases", "ReleaseTransition")
    rows.objects.bulk_create(
        rows(action=action.value, before=before.value if before else "", after=after.value)
        for action, before, after in TRANSITIONS
    )


def empty(apps: Any, _schema_editor: Any) -> None:
    apps.get_model("releases", "ReleaseTransition").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial")]

    operations = [migrations.RunPython(fill, empty), migrations.RunSQL(GUARDS, FREED)]
