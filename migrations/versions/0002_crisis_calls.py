"""Crisis calls: outcome and note of staff, a follow-up that is due, and the category of a message"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("category", sa.String(length=64), server_default="", nullable=False))
    op.add_column("escalations", sa.Column("crisis", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("escalations", sa.Column("follow_up_at", sa.DateTime(timezone=True), nullable=True))
    # Calls that are open when this version starts are closed under its rule too.
    op.execute(
        "UPDATE escalations SET crisis = true WHERE status IN ('waiting', 'claimed') AND priority = 0 "
        "AND category IN ('suicide', 'abuse', 'violence')"
    )
    op.create_table(
        "escalation_notes",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("escalation_id", sa.String(length=32), nullable=False),
        sa.Column("staff_id", sa.String(length=32), nullable=False),
        sa.Column("disposition", sa.String(length=64), nullable=False),
        sa.Column("note_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("follow_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["escalation_id"], ["escalations.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_escalation_notes_escalation_id"), "escalation_notes", ["escalation_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_escalation_notes_escalation_id"), table_name="escalation_notes")
    op.drop_table("escalation_notes")
    op.drop_column("escalations", "follow_up_at")
    op.drop_column("escalations", "crisis")
    op.drop_column("messages", "category")
