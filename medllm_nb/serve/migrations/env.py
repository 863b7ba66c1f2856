"Alembic's environment: the connection comes from `medllm_nb.serve.database.migrate`, never from a file."

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
