from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0010_fill_tag_rows'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='pbx',
            name='tags',
        ),
    ]
