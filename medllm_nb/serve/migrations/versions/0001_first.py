"The first schema: users, keys, submissions, answers, feedback, ratings, and the audit trail that only grows."

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
GROWS = {
    "sqlite": [
        "CREATE TRIGGER audit_no_{what} BEFORE {what} ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END"
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION audit_grows() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'the audit trail only grows'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER audit_no_{what} BEFORE {what} ON audit FOR EACH ROW EXECUTE FUNCTION audit_grows()",
    ],
}


def owner(table):
    return sa.Column(
        f"{table}_id", sa.String(32), sa.ForeignKey(f"{table}s.id", ondelete="CASCADE"), nullable=False, index=True
    )


def person(name="user"):
    return sa.Column(name, sa.String(64), sa.ForeignKey("users.name"), nullable=False, index=True)


def upgrade():
    op.create_table(
        "secrets",
        sa.Column("purpose", sa.String(32), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.Column("password", sa.String(255)),
        sa.Column("subject", sa.String(255), unique=True),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", TIME),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        person(),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.String(32), primary_key=True),
        person(),
        sa.Column("created_at", TIME, nullable=False, index=True),
        sa.Column("report_id", sa.String(32), nullable=False),
        sa.Column("patient_key", sa.String(32), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("specialty", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.String(32), primary_key=True),
        owner("submission"),
        person(),
        sa.Column("created_at", TIME, nullable=False, index=True),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("model_version", sa.String(128), nullable=False),
        sa.Column("upstream", sa.String(64), nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("confidence", sa.Double),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(32), primary_key=True),
        owner("answer"),
        person(),
        sa.Column("created_at", TIME, nullable=False, index=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("rated", sa.Boolean, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ratings",
        sa.Column("id", sa.String(32), primary_key=True),
        owner("answer"),
        person("reviewer"),
        sa.Column("created_at", TIME, nullable=False, index=True),
        *(sa.Column(n, sa.Integer, nullable=False) for n in ("correct", "complete", "harmful", "style")),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("object", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
    )
    *first, last = GROWS[op.get_bind().dialect.name]
    for statement in first:
        op.execute(statement)
    for what in ("UPDATE", "DELETE"):
        op.execute(last.format(what=what))


def downgrade():
    raise RuntimeError("the first schema has nothing below it: restore a backup")
