"""The PostgreSQL extensions, and how pg_sphere is made where its own script is refused.

pg_sphere 1.2.0 (Debian 12) declares two obsolete operators ``@ (bigint, smoc)`` and ``@ (spoint, smoc)`` as further
commutators of ``@>`` and negators of ``!<@``. PostgreSQL 17 refuses that, and so does 15 in Debian's version 15.20
("commutator operator @> is already the commutator of operator <@"): CREATE EXTENSION fails (pgsphere issues 85 and 137;
mended in pg_sphere 1.4 by leaving the two out). The script can not be changed without touching the distribution's files.
So, only when it is refused, we let an event trigger loosen those links just before each operator is made, drop the two
operators afterwards, as upstream did, and put the links right. All of it in one transaction.
"""

from __future__ import annotations

from contextlib import closing

from ops.clusters import EXTENSIONS, connect
from ops.errors import OpsError
from ops.house import Archive

__all__ = ["make_extensions"]

_LOOSEN = """
CREATE FUNCTION public.specola_loosen() RETURNS event_trigger LANGUAGE plpgsql AS $body$
BEGIN
  -- A name is looked up only once it is there: the type smoc is made in the middle of the script.
  IF to_regtype('smoc') IS NULL THEN RETURN; END IF;
  UPDATE pg_operator SET oprcom = 0
    WHERE oprname = '@>' AND oprleft = 'smoc'::regtype AND oprright IN ('bigint'::regtype, 'spoint'::regtype)
      AND oprcode <> 0 AND oprcom IN (SELECT oid FROM pg_operator WHERE oprcode <> 0);
  UPDATE pg_operator SET oprnegate = 0
    WHERE oprname = '!<@' AND oprright = 'smoc'::regtype AND oprleft IN ('bigint'::regtype, 'spoint'::regtype)
      AND oprcode <> 0 AND oprnegate IN (SELECT oid FROM pg_operator WHERE oprcode <> 0);
END $body$;
CREATE EVENT TRIGGER specola_loosen ON ddl_command_start WHEN TAG IN ('CREATE OPERATOR')
  EXECUTE FUNCTION public.specola_loosen();
"""

_MEND = """
DROP EVENT TRIGGER specola_loosen;
DROP FUNCTION public.specola_loosen();
ALTER EXTENSION pg_sphere DROP OPERATOR @ (bigint, smoc);
ALTER EXTENSION pg_sphere DROP OPERATOR @ (spoint, smoc);
DROP OPERATOR @ (bigint, smoc);
DROP OPERATOR @ (spoint, smoc);
UPDATE pg_operator a SET oprcom = b.oid
  FROM pg_operator b, (VALUES ('@>', '<@'), ('<@', '@>'), ('!@>', '!<@'), ('!<@', '!@>')) AS pair (one, other)
  WHERE a.oprname = pair.one AND b.oprname = pair.other AND a.oprleft = b.oprright AND a.oprright = b.oprleft
    AND 'smoc'::regtype IN (a.oprleft, a.oprright);
UPDATE pg_operator a SET oprnegate = b.oid
  FROM pg_operator b, (VALUES ('@>', '!@>'), ('!@>', '@>'), ('<@', '!<@'), ('!<@', '<@')) AS pair (one, other)
  WHERE a.oprname = pair.one AND b.oprname = pair.other AND a.oprleft = b.oprleft AND a.oprright = b.oprright
    AND 'smoc'::regtype IN (a.oprleft, a.oprright);
"""


def make_extensions(archive: Archive) -> None:
    """Make the extensions an archive needs in its database.

    :raises OpsError: when the database server does not have them, or refuses them
    """
    import psycopg2

    with closing(connect(archive.admin_dsn)) as conn, conn.cursor() as cursor:
        for name in EXTENSIONS:
            try:
                cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
            except psycopg2.errors.InvalidFunctionDefinition:
                if name != "pg_sphere":
                    raise
                cursor.execute(f"BEGIN; {_LOOSEN} CREATE EXTENSION {name}; {_MEND} COMMIT;")
            except psycopg2.Error as error:
                raise OpsError(
                    f"the extension {name} can not be made in the database {archive.database}: {str(error).strip()}",
                    "Install postgresql-15-q3c and postgresql-15-pgsphere on the database server.",
                ) from error
