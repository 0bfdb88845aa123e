import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('fleet', '0008_api_versions_of_the_drivers'),
    ]

    operations = [
        migrations.CreateModel(
            name='PbxTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=30)),
                ('pbx', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tag_rows', to='fleet.pbx')),
            ],
            options={
                'indexes': [models.Index(fields=['name', 'pbx'], name='pbx_tag_by_name')],
                'constraints': [models.UniqueConstraint(fields=('pbx', 'name'), name='pbx_tag_once')],
            },
        ),
    ]
